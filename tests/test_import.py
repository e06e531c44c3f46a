"""Importing the package costs next to nothing."""

import subprocess
import sys

import pytest

HEAVY = ("torchvision", "matplotlib", "PIL.Image", "typer", "tqdm", "safetensors", "scipy", "pandas")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_edgeseg_imports_nothing_heavy():
    loaded = loaded_after("import edgeseg, edgeseg.models, edgeseg.data")
    assert "edgeseg" in loaded
    assert not loaded & {*HEAVY, "torch"}


def test_building_a_model_imports_no_picture_or_command_line_library():
    loaded = loaded_after("import edgeseg; edgeseg.create_model('cross_cbam_m', width=16)")
    assert "torch" in loaded
    assert not loaded & (set(HEAVY) - {"safetensors", "tqdm"})  # torch itself imports tqdm


def test_networks_train_and_predict_without_torchvision():
    loaded_after(
        "sys.modules['torchvision'] = None; import numpy, edgeseg, edgeseg.training.train, edgeseg.deploy; "
        "image = numpy.zeros((64, 96, 3), 'uint8'); edgeseg.predict('cross_cbam_m.streets', image)"
    )


def test_public_names_are_there_and_an_unknown_one_is_an_attribute_error():
    import edgeseg

    assert {"create_model", "list_models", "predict", "__version__"} <= set(dir(edgeseg))
    assert edgeseg.__version__
    with pytest.raises(AttributeError, match="create_model, list_models, predict"):
        edgeseg.no_such_name  # noqa: B018
