def test_files_become_cases(node):
    paths = ["a.nii.gz", "b.NII", "scan.zip", "s/1.dcm", "s/deep/2", "t/1.dcm", "IM1", "IM2"]
    found = node(
        """
        const { casesOf } = await load("page/inputs");
        const files = input.paths.map((path) => ({ path, file: { name: path.split("/").pop() } }));
        return casesOf(files).map(({ name, files }) => [name, files.map(({ path }) => path)]);
        """,
        paths=paths,
    )
    assert found == [
        ["a", ["a.nii.gz"]],
        ["b", ["b.NII"]],
        ["scan", ["scan.zip"]],
        ["s", ["s/1.dcm", "s/deep/2"]],
        ["t", ["t/1.dcm"]],
        ["IM1", ["IM1", "IM2"]],
    ]


def test_texts_of_a_result(node):
    found = node(
        """
        const { formatSeconds, listVolumes, resultWarnings } = await load("page/results");
        return [[0.2, 59.9, 61, 600].map(formatSeconds), listVolumes(input.table),
          resultWarnings(input.table)];
        """,
        table=[
            {"name": "liver", "voxels": 9, "volumeMl": 1500.04, "cutBy": ["superior", "padding"]},
            {"name": "tumour", "voxels": 0, "volumeMl": 0, "cutBy": []},
            {"name": "spleen", "voxels": 3, "volumeMl": 2.345, "cutBy": []},
        ],
    )
    assert found == [
        ["1 s", "60 s", "1 min 01 s", "10 min 00 s"],
        "liver 1500.0 ml, tumour 0.00 ml, spleen 2.35 ml",
        [
            "liver reaches the superior end of the image and the border of the scanner's circle: a "
            "part of it may be missing.",
            "No voxel was assigned to tumour.",
        ],
    ]
