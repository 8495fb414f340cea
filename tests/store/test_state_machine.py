"""The store does what a dictionary does, whatever the order of the calls, and across reopening."""

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from tests.store.addresses import KINDS, new_url

from warmstart.store import ApiKey, Event, open_store

TENANTS = ("one", "other")
IDS = st.one_of(
    st.integers(0, 2), st.sampled_from(["1", "异形"]), st.sampled_from(["", "\x00", "\ud800"])
)
NUMBERS = st.floats(-1e9, 1e9)
EVENTS = st.builds(
    Event, IDS, IDS, IDS, st.sampled_from(["like", "看过"]), st.none() | NUMBERS, NUMBERS
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ROWS = st.dictionaries(st.text(max_size=3), JSON)
_examples = itertools.count()


class AgainstADictionary(RuleBasedStateMachine):
    """Every example has two tenants of its own in one store that lives throughout."""

    url = ""

    def __init__(self):
        super().__init__()
        self.store, self.mark = open_store(self.url), f" {next(_examples)}"
        self.events = {tenant: {} for tenant in TENANTS}  # by id, in the order they came
        self.deleted = {tenant: set() for tenant in TENANTS}
        self.changes = {tenant: [] for tenant in TENANTS}
        self.keys = {tenant: {} for tenant in TENANTS}

    secrets = Bundle("secrets")
    users = Bundle("users")

    @rule(target=users, tenant=st.sampled_from(TENANTS), batch=st.lists(EVENTS, max_size=5))
    def append(self, tenant, batch):
        kept, accepted, refused = self.events[tenant], 0, set()
        for event in batch:
            if event.user in self.deleted[tenant]:
                refused.add(event.user)
            elif event.id not in kept:
                kept[event.id] = event
                accepted += 1
        receipt = self.store.append(tenant + self.mark, batch)
        n_refused = sum(event.user in refused for event in batch)
        assert receipt.accepted == accepted
        assert receipt.duplicates == len(batch) - accepted - n_refused
        assert set(receipt.refused) == refused
        return multiple(*(event.user for event in batch))

    @rule(tenant=st.sampled_from(TENANTS), user=users | IDS, now=NUMBERS)
    def delete_user(self, tenant, user, now):
        whose = [id for id, event in self.events[tenant].items() if event.user == user]
        assert self.store.delete_user(tenant + self.mark, user, now=now) == len(whose)
        for id in whose:
            del self.events[tenant][id]
        self.deleted[tenant].add(user)

    @rule(tenant=st.sampled_from(TENANTS), kind=st.sampled_from(["add", "remove"]),
          rows=st.lists(ROWS, max_size=2), now=NUMBERS)  # fmt: skip
    def change_items(self, tenant, kind, rows, now):
        number = self.store.change_items(tenant + self.mark, kind, rows, now=now)
        assert all(number > before for before, *_ in self.changes[tenant])
        self.changes[tenant].append((number, kind, tuple(rows), now))

    @rule(target=secrets, tenant=st.sampled_from(TENANTS), now=NUMBERS,
          scopes=st.sets(st.sampled_from(["read", "write", "admin"]), min_size=1))  # fmt: skip
    def create_key(self, tenant, scopes, now):
        secret, key = self.store.create_key(tenant + self.mark, scopes, now=now)
        assert key == ApiKey(key.id, tenant + self.mark, frozenset(scopes), now)
        self.keys[tenant][key.id] = (secret, key)
        return secret

    @rule(tenant=st.sampled_from(TENANTS), secret=secrets, now=NUMBERS)
    def revoke_key(self, tenant, secret, now):
        id = secret.split("_")[1]
        good = self.keys[tenant].get(id, (None, None))[1]
        assert self.store.revoke_key(tenant + self.mark, id, now=now) == (good is not None)
        if good is not None:
            self.keys[tenant][id] = (secret, None)
        assert self.store.key(secret) == next(
            (keys[id][1] for keys in self.keys.values() if id in keys), None
        )

    @rule()
    def reopen(self):
        self.store.close()
        self.store = open_store(self.url)

    @invariant()
    def everything_is_as_in_the_dictionary(self):
        for tenant in TENANTS:
            named, kept = tenant + self.mark, list(self.events[tenant].values())
            assert set(self.store.users(named)) == {event.user for event in kept}
            for user in {event.user for event in kept} | self.deleted[tenant]:
                theirs = [event for event in kept if event.user == user]
                assert self.store.events(named, user) == sorted(theirs, key=lambda e: e.timestamp)
            assert self.store.recent(named, 3) == kept[::-1][:3]
            assert self.store.training(named).table["value"].to_pylist() == [e.value for e in kept]
            changes = self.store.item_changes(named)
            assert [(c.number, c.kind, c.rows, c.timestamp) for c in changes] == self.changes[
                tenant
            ]
            for secret, key in self.keys[tenant].values():
                assert self.store.key(secret) == key

    def teardown(self):
        self.store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_does_what_a_dictionary_does(kind, request):
    # in memory where there is such a folder: what is tested here is not the disk
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        machine = type(
            "Machine", (AgainstADictionary,), {"url": new_url(kind, Path(folder), request)}
        )
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=25 if kind == "sqlite" else 8,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
