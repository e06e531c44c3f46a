"""What all runtimes have in common: their names, what they say of this machine, and how their options are given."""

from __future__ import annotations

import inspect

import pytest

from edgeseg.deploy import DeployError, compile, get_runtime, list_runtimes


@pytest.mark.parametrize("name", list_runtimes())
def test_a_runtime_says_of_every_precision_whether_it_can_run_here(name):
    runtime = get_runtime(name)
    assert runtime.name == name
    for precision in runtime.precisions:
        reason = runtime.why_not(precision)
        assert reason is None or len(reason) > 20


@pytest.mark.parametrize("name", list_runtimes())
def test_an_option_is_the_same_from_a_command_line_as_from_python(name):
    runtime = get_runtime(name)
    defaults = runtime.checked_options({})
    assert defaults.keys() == runtime.options.keys()
    for option, value in defaults.items():
        text = ",".join(value) if isinstance(value, tuple) else str(value).lower()
        assert runtime.parse_options([f"{option}={text}"]) == {option: value}
        assert runtime.checked_options({option: value}) == defaults


@pytest.mark.parametrize("text", ["channels_last=false", "channels_last=False", "channels_last=no", "channels_last=0"])
def test_false_is_false(text):
    assert get_runtime("eager").parse_options([text]) == {"channels_last": False}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("eager", "channel_last=true", "eager has no option 'channel_last'; near: channels_last"),
        ("eager", "channels_last=maybe", "channels_last=maybe: give true or false"),
        ("eager", "channels_last", "'channels_last': write option=value"),
        ("onnx", "opset=9", "opset=9: give a whole number from 18 to 20"),
        ("onnx", "opset=18.5", "opset=18.5: give a whole number"),
        ("openvino", "rest=fp8", "rest=fp8: give one of fp32, bf16"),
        ("tensorrt", "optimization_level=6", "give a whole number from 0 to 5, or none"),
        ("executorch", "keep=head", "executorch has no option 'keep'; it has none"),
    ],
)
def test_an_unknown_option_or_a_wrong_value_is_refused_in_one_line(name, text, message):
    with pytest.raises(DeployError, match=message) as error:
        get_runtime(name).parse_options([text])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("channels_last", "false"), ("channels_last", 0), ("device", None)])
def test_a_value_of_another_type_is_refused_from_python(name, value):
    with pytest.raises(DeployError, match=f"{name}="):
        get_runtime("eager").checked_options({name: value})


@pytest.mark.parametrize("name", list_runtimes())
def test_no_option_bears_the_name_of_what_compile_itself_is_told(name):
    runtime = get_runtime(name)
    own = [p.name for p in inspect.signature(compile).parameters.values() if p.kind != p.VAR_KEYWORD]
    assert not set(own) & set(runtime.options)
    for parameter in own:
        with pytest.raises(DeployError, match=f"{name} has no option '{parameter}'"):
            runtime.parse_options([f"{parameter}=3"])


def test_an_unknown_runtime_lists_the_near_ones():
    with pytest.raises(DeployError, match="did you mean onnx"):
        get_runtime("onxx")
