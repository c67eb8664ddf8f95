from darkroom.pictures import grey


def test_grey() -> None:
    assert grey([[0.0, 0.5, 1.0]])[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]
