"""ControllerRevision (apps/v1) and PodTemplate (core/v1): kept states that controllers go back to."""

from typing import Any, ClassVar

from orchestr.api.base import KubeObject
from orchestr.api.pod import PodTemplateSpec


class ControllerRevision(KubeObject):
    """A state of a controller at one revision; `data` never changes once it is written."""

    PLURAL: ClassVar[str] = "controllerrevisions"
    GROUP: ClassVar[str] = "apps"

    api_version: str = "apps/v1"
    kind: str = "ControllerRevision"
    data: Any = None
    revision: int


class PodTemplate(KubeObject):
    PLURAL: ClassVar[str] = "podtemplates"

    api_version: str = "v1"
    kind: str = "PodTemplate"
    template: PodTemplateSpec = PodTemplateSpec()
