"""MetaImage and NRRD files, the formats of ITK."""
