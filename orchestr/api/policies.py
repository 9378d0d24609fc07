"""Admission policies in the expression language, and their bindings (admissionregistration.k8s.io/v1)."""

from typing import ClassVar

from orchestr.api.base import Condition, Items, KubeObject, Model
from orchestr.api.meta import LabelSelector
from orchestr.api.webhooks import MatchCondition, RuleWithOperations


class NamedRuleWithOperations(RuleWithOperations):
    resource_names: Items[str] = ()


class MatchResources(Model):
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    resource_rules: Items[NamedRuleWithOperations] = ()
    exclude_resource_rules: Items[NamedRuleWithOperations] = ()
    match_policy: str | None = None  # Exact, Equivalent


class ParamKind(Model):
    api_version: str | None = None
    kind: str | None = None


class ParamRef(Model):
    name: str | None = None
    namespace: str | None = None
    selector: LabelSelector | None = None
    parameter_not_found_action: str | None = None  # Allow, Deny


class Variable(Model):
    name: str
    expression: str


class Validation(Model):
    expression: str
    message: str | None = None
    reason: str | None = None  # Unauthorized, Forbidden, Invalid, RequestEntityTooLarge
    message_expression: str | None = None


class AuditAnnotation(Model):
    key: str
    value_expression: str


class PolicySpec(Model):
    """What policies of both sorts have."""

    param_kind: ParamKind | None = None
    match_constraints: MatchResources | None = None
    failure_policy: str | None = None  # Fail, Ignore
    match_conditions: Items[MatchCondition] = ()
    variables: Items[Variable] = ()


class ValidatingAdmissionPolicySpec(PolicySpec):
    validations: Items[Validation] = ()
    audit_annotations: Items[AuditAnnotation] = ()


class ExpressionWarning(Model):
    field_ref: str
    warning: str


class TypeChecking(Model):
    expression_warnings: Items[ExpressionWarning] = ()


class ValidatingAdmissionPolicyStatus(Model):
    observed_generation: int | None = None
    type_checking: TypeChecking | None = None
    conditions: Items[Condition] = ()


class BindingSpec(Model):
    policy_name: str | None = None
    param_ref: ParamRef | None = None
    match_resources: MatchResources | None = None


class ValidatingAdmissionPolicyBindingSpec(BindingSpec):
    validation_actions: Items[str] = ()  # Deny, Warn, Audit


class ApplyConfiguration(Model):
    expression: str | None = None


class JSONPatch(Model):
    expression: str | None = None


class Mutation(Model):
    patch_type: str  # ApplyConfiguration, JSONPatch
    apply_configuration: ApplyConfiguration | None = None
    json_patch: JSONPatch | None = None


class MutatingAdmissionPolicySpec(PolicySpec):
    mutations: Items[Mutation] = ()
    reinvocation_policy: str | None = None  # Never, IfNeeded


class ValidatingAdmissionPolicy(KubeObject):
    PLURAL: ClassVar[str] = "validatingadmissionpolicies"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "ValidatingAdmissionPolicy"
    spec: ValidatingAdmissionPolicySpec = ValidatingAdmissionPolicySpec()
    status: ValidatingAdmissionPolicyStatus = ValidatingAdmissionPolicyStatus()


class ValidatingAdmissionPolicyBinding(KubeObject):
    PLURAL: ClassVar[str] = "validatingadmissionpolicybindings"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "ValidatingAdmissionPolicyBinding"
    spec: ValidatingAdmissionPolicyBindingSpec = ValidatingAdmissionPolicyBindingSpec()


class MutatingAdmissionPolicy(KubeObject):
    PLURAL: ClassVar[str] = "mutatingadmissionpolicies"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "MutatingAdmissionPolicy"
    spec: MutatingAdmissionPolicySpec = MutatingAdmissionPolicySpec()


class MutatingAdmissionPolicyBinding(KubeObject):
    PLURAL: ClassVar[str] = "mutatingadmissionpolicybindings"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "MutatingAdmissionPolicyBinding"
    spec: BindingSpec = BindingSpec()


Policy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy
Binding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding
