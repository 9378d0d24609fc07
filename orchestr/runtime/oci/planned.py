"""plan: what create would do with a bundle, printed."""

from typing import Final

from orchestr.runtime import lean
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure


def plan_(call: Call) -> int:
    from orchestr.runtime.oci import plan

    form = call.text("format", "text")
    if form not in ("text", "json"):
        raise RuntimeFailure(f"cannot print a plan as {form}: invalid format option (text or json)")
    found = plan.of(call.text("bundle", "."), *call.words[:1])
    print(lean.dumps(plan.data(found)) if form == "json" else plan.text(found))
    return 0


COMMANDS: Final = {
    "plan": Command(
        plan_,
        "print what create would do, call by call, without doing it",
        "[ID]",
        {
            "bundle": Option("where config.json is (default: here)", "DIR", "b"),
            "format": Option("text or json", "FORMAT", "f"),
        },
    )
}
