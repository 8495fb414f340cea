"""Ctrl-C in a real process, and --resume."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

SLOW = {
    "hidden_dim": 64,
    "embedding_dim": 16,
    "folds": 2,
    "training": {"epochs": 150, "checks": 40},
}


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_keeps_a_checkpoint_that_resume_continues(tables, tmp_path):
    (tmp_path / "slow.json").write_text(json.dumps(SLOW))
    command = [
        sys.executable, "-m", "warmstart.cli", "train", "--config", str(tmp_path / "slow.json"),
        "--interactions", str(tables / "train.parquet"), "--out",
    ]  # fmt: skip
    whole = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, check=True)
    assert whole.returncode == 0
    kept = tmp_path / "cut.checkpoint"
    for _ in range(3):  # an interrupt inside a callback whose errors are only printed is lost
        code, err = interrupted([*command, str(tmp_path / "cut")], kept)
        if code:
            break
        shutil.rmtree(tmp_path / "cut")
    assert code == 130, err
    assert "continue with --resume" in " ".join(err.split())
    assert "Traceback" not in err
    assert list(kept.glob("*.safetensors"))
    assert not (tmp_path / "cut").exists()
    subprocess.run([*command, str(tmp_path / "cut"), "--resume"], capture_output=True, check=True)
    files = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "cut")]
    assert files[0] == files[1]
    assert not kept.exists()


def interrupted(command, kept):
    """Run, interrupt as soon as a checkpoint is there, and return the exit code and stderr."""
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 60
    while not list(kept.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def heed_interrupts():
    """Undo what a shell does to what it runs in the background: there, Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
