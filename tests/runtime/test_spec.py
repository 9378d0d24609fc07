"""The default configuration is the safe one."""

from orchestr.runtime import seccomp_profile, spec


def test_the_default_gives_little() -> None:
    process = spec.default_spec(["true"])["process"]
    assert "CAP_NET_RAW" not in process["capabilities"]["bounding"]
    assert "CAP_SYS_ADMIN" not in process["capabilities"]["bounding"]
    assert not process["capabilities"].get("inheritable")
    assert process["noNewPrivileges"]


def test_capabilities_are_added_and_dropped_by_short_name() -> None:
    def held(**change: tuple[str, ...]) -> set[str]:
        return set(spec.default_spec(["true"], **change)["process"]["capabilities"]["bounding"])

    assert held(cap_drop=("ALL",), cap_add=("NET_BIND_SERVICE",)) == {"CAP_NET_BIND_SERVICE"}
    assert held(cap_drop=("chown",)) == set(spec.CAPABILITIES) - {"CAP_CHOWN"}
    assert held(cap_add=("CAP_NET_RAW",)) == {*spec.CAPABILITIES, "CAP_NET_RAW"}


def test_new_namespaces_need_sys_admin_in_the_profile() -> None:
    def allowed(*held: str) -> set[str]:
        rules = seccomp_profile.default(held)["syscalls"]
        return {n for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule for n in rule["names"]}

    assert not allowed() & {"unshare", "mount", "clone", "setns", "bpf", "keyctl", "io_uring_setup", "userfaultfd"}
    assert {"unshare", "mount", "clone"} <= allowed("CAP_SYS_ADMIN")


def test_device_rules_deny_first() -> None:
    rules = spec.device_rules([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}])
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[-1] == {"allow": True, "access": "rwm", "type": "c", "major": 10, "minor": 229}


def test_the_command_spec_writes_what_runcs_writes() -> None:
    """What scripts count on that begin with it, runc's own tests among them."""
    from orchestr.runtime.oci.spec import default

    made = default(0, 0, rootless=False)
    process, linux = made["process"], made["linux"]
    assert (process["terminal"], process["noNewPrivileges"], process["args"]) == (True, True, ["sh"])
    assert process["capabilities"]["bounding"] == ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    assert {item["type"] for item in linux["namespaces"]} >= {"pid", "network", "ipc", "uts", "mount"}
    assert "seccomp" not in linux
