package workload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiserveradmission "k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
)

// enforced compiles a control's exported policy as the API server does it, whose
// budget is for the whole policy, and counts the variables twice: once for the
// validation, once for its message.
func enforced(t *testing.T, name string) func(content map[string]any) validating.PolicyDecision {
	t.Helper()
	c := controlNamed(t, name)
	policy, err := admission.ValidatingPolicy(c, check.Defaults([]*check.Control{c})[name])
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range policy.Spec.Variables {
		if r := compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions); r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	condition := func(accessors ...plugincel.ExpressionAccessor) plugincel.ConditionEvaluator {
		return compiler.CompileCondition(accessors, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	}
	rule := policy.Spec.Validations[0]
	validator := validating.NewValidator(condition(&validating.ValidationCondition{Expression: rule.Expression, Message: rule.Message}), nil, condition(),
		condition(&validating.MessageExpressionCondition{MessageExpression: rule.MessageExpression}), nil, nil)
	return func(content map[string]any) validating.PolicyDecision {
		u := &unstructured.Unstructured{Object: content}
		gvk := u.GroupVersionKind()
		resource := schema.GroupVersionResource{Version: gvk.Version, Resource: strings.ToLower(gvk.Kind) + "s"}
		attributes := apiserveradmission.NewAttributesRecord(u, nil, gvk, "shop", u.GetName(), resource, "", apiserveradmission.Create, &metav1.CreateOptions{}, false, nil)
		versioned := &apiserveradmission.VersionedAttributes{Attributes: attributes, VersionedObject: apiserveradmission.NewLazyObject(u), VersionedKind: gvk}
		return validator.Validate(t.Context(), resource, versioned, nil, nil, celconfig.RuntimeCELCostBudget, nil).Decisions[0]
	}
}

// TestCredentialBudget holds both policies to the API server's budget on the
// largest input that it takes: a ConfigMap of 1 MiB, as one key and as a thousand,
// and a pod of 2,500 variables with one credential.
func TestCredentialBudget(t *testing.T) {
	t.Parallel()
	maps, env := enforced(t, inConfigMaps), enforced(t, inEnv)
	const size = 1<<20 - 64
	fill := func(line string) string { return strings.Repeat(line, size/len(line)) }
	fox := "the quick brown fox jumps over the lazy dog; https://example.com:8443/path?q=1\n"
	for name, text := range map[string]string{
		"prose":        fill("The password, the secret and the token are kept in a safe place; ask for the key.\n"),
		"JSON":         "[" + fill(`{"key":"a","value":"b"},`) + "]",
		"placeholders": fill(strings.Repeat("database.connection.pool.minimum=10\n", 40) + "mail.smtp.password=${MAIL_PASSWORD}\n"),
		"certificates": fill("-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n", 20) + "-----END CERTIFICATE-----\n"),
		"one line":     fill("0123456789abcdef"),
		"marks":        "eyJ ghp_ \n" + fill(fox)[len(fox):],
	} {
		start := time.Now()
		if d := maps(configMap(map[string]any{"file": text})); d.Action != validating.ActionAdmit {
			t.Errorf("%s: %s", name, d.Message)
		}
		t.Logf("%s took %v", name, time.Since(start))
	}
	many := map[string]any{}
	for i := range 1000 {
		many[fmt.Sprintf("file-%03d", i)] = fill(fox)[i*900 : (i+1)*900]
	}
	if d := maps(configMap(many)); d.Action != validating.ActionAdmit {
		t.Errorf("a thousand keys: %s", d.Message)
	}
	const found = "key file holds a password in line %d (data.file)"
	lines := strings.Count(fill(fox), "\n")
	if d, want := maps(configMap(map[string]any{"file": fill(fox) + "password: hunter2\n"})), fmt.Sprintf(found, lines+1); d.Message != want {
		t.Errorf("got %q, want %q", d.Message, want)
	}
	for _, value := range []string{"redis.shop.svc.cluster.local:6379", "https://api.example.com:8443/v1/things", "$(SOMETHING_ELSE)"} {
		var containers []any
		for c := range 50 {
			var list []any
			for i := range 50 {
				list = append(list, map[string]any{"name": fmt.Sprintf("SERVICE_%d_TOKEN_URL", i), "value": value})
			}
			containers = append(containers, map[string]any{"name": fmt.Sprintf("c%d", c), "image": "i", "env": list,
				"args": []any{"--listen=:8080", "--config", "/etc/app/config.yaml", "--token-file=/run/token"}})
		}
		containers[49].(map[string]any)["env"].([]any)[49] = map[string]any{"name": "DB_PASSWORD", "value": "hunter2"}
		const want = "variable DB_PASSWORD of container c49 holds a password (spec.containers[49].env[49].value)"
		if d := env(podOf(containers...)); d.Message != want {
			t.Errorf("with %s: got %q, want %q", value, d.Message, want)
		}
	}
}
