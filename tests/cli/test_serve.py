"""`warmstart serve` and `warmstart keys`: what they refuse, and the life of a key."""

import json

import pytest
from typer.main import get_command

from warmstart.cli import app
from warmstart.cli._shared import run
from warmstart.store import open_store


def call(*words):
    return run(get_command(app), [str(word) for word in words])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_without_keys_it_listens_to_this_machine_alone(tmp_path, capsys, host):
    code = call("serve", tmp_path / "m", "--no-auth", "--host", host, "--store", tmp_path / "s")
    assert code == 2
    assert "--no-auth" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_what_is_no_model_or_no_store_is_one_line(tmp_path, capsys):
    assert call("serve", tmp_path / "nothing", "--no-auth", "--store", tmp_path / "s.sqlite") == 2
    assert "nothing is no saved model" in capsys.readouterr().err
    assert call("serve", tmp_path / "nothing", "--store", "mysql://x") == 2
    assert "no store is reached by mysql" in capsys.readouterr().err


def test_a_key_is_made_listed_and_revoked(tmp_path, capsys):
    store = tmp_path / "s.sqlite"
    assert call("keys", "create", "--store", store, "--scopes", "read", "--tenant", "shop") == 0
    secret = capsys.readouterr().out.strip()
    kept = open_store(store)
    assert kept.key(secret).scopes == {"read"}
    assert call("keys", "list", "--store", store, "--tenant", "shop", "--json", "-") == 0
    printed = capsys.readouterr().out
    assert secret not in printed
    (key,) = json.loads(printed)
    assert key["revoked"] is None
    assert call("keys", "revoke", key["id"], "--store", store, "--tenant", "shop") == 0
    assert kept.key(secret) is None
    kept.close()
    assert call("keys", "revoke", key["id"], "--store", store, "--tenant", "shop") == 2
    assert call("keys", "create", "--store", store, "--scopes", "root") == 2
    assert "give some of read, write, admin" in capsys.readouterr().err
