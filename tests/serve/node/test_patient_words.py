from liverseg_tf.serve.node.patient_words import without_patient


def test_names_and_numbers_of_patients_are_left_out(make_series):
    def named(dataset, z):
        dataset.PatientName, dataset.PatientID = "Müller^Anna^Li", "4711"
        dataset.SpecificCharacterSet = "ISO_IR 192"

    paths = make_series(1, edit=named)
    text = "Expected a name. Received 'Müller^Anna^Li' (Anna, 4711), slice 3 of Annapolis, Li."
    assert without_patient(text, paths) == (
        "Expected a name. Received '...' (..., ...), slice 3 of Annapolis, ...."
    )


def test_a_text_without_files_stays(tmp_path):
    (tmp_path / "broken.dcm").write_bytes(b"\x08\0")
    assert without_patient("text", [tmp_path / "missing.dcm"]) == "text"
