"""The official client of MONAI Label against a server; benchmarks/label_client.py starts it.

It runs in an environment of its own, in which the client is installed without its dependencies:
`pip install --no-deps monailabel requests urllib3 idna certifi charset_normalizer`.
"""

import json
import sys
import time
from pathlib import Path

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

SLICER = {"result_extension": ".nrrd", "result_dtype": "uint8"}  # what its module sends


def main(settings: dict) -> None:
    """Call every method of the client, and print what it returned as JSON."""
    work, image, label = Path(settings["work"]), settings["image"], settings["label"]
    (work / "answers").mkdir(exist_ok=True)
    client = MONAILabelClient(settings["url"], str(work / "answers"), "annotator")
    steps = {}

    def step(name: str, call):
        started = time.perf_counter()
        result = call()
        steps[name] = {"seconds": time.perf_counter() - started, "result": result}
        return result

    if settings.get("token"):
        assert client.auth_enabled()
        client.update_auth(client.auth_token("annotator", settings["token"]))
        assert client.auth_valid_token()
    else:
        assert not client.auth_enabled()
    info = step("info", client.info)
    model = next(iter(info["models"]))
    session = step("create session", lambda: client.create_session(image))["session_id"]
    step("get session", lambda: client.get_session(session))
    step(
        "infer session",
        lambda: client.infer(model, "any", dict(SLICER), session_id=session),
    )
    step("remove session", lambda: client.remove_session(session))
    try:
        client.get_session(session)
        raise SystemExit("The session was not removed.")
    except MONAILabelClientException:
        pass
    name = step("upload image", lambda: client.upload_image(image, "uploaded"))["image"]
    step("infer image", lambda: client.infer(model, name, dict(SLICER)))
    step("infer file", lambda: client.infer(model, "any", {}, file=image))
    step("next sample", lambda: client.next_sample("first", {}))
    step("random sample", lambda: client.next_sample("random", {}))
    if "uncertain" in info["strategies"]:
        step("uncertain sample", lambda: client.next_sample("uncertain", {}))
    segments = [{"name": "liver", "idx": 2}, {"name": "tumour", "idx": 3}]
    for image_name in (name, *settings["others"]):
        step(
            f"save label {image_name}",
            lambda one=image_name: client.save_label(
                one, settings["others"].get(one, label), params={"label_info": segments}
            ),
        )
    step("download label", lambda: client.download_label(name, "final"))
    step("datastore", client.datastore)
    if settings["minutes"]:
        step("train", lambda: client.train_start(model, {"minutes": settings["minutes"]}))
        assert client.train_status(check_if_running=True)
        while client.train_status(check_if_running=True):
            time.sleep(1)
        step("train status", client.train_status)
        step("info after", client.info)
        step("infer after", lambda: client.infer(model, name, dict(SLICER)))
        step("train again", lambda: client.train_start(model, {"minutes": 30}))
        time.sleep(5)
        step("stop", client.train_stop)
        assert not client.train_status(check_if_running=True)
    print(json.dumps(steps))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
