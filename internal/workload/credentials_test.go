package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/check"
)

const (
	inEnv        = "no-credentials-in-env"
	inConfigMaps = "no-credentials-in-config-maps"
)

func configMap(data map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"}, "data": data}
}

func podOf(containers ...any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p"}, "spec": map[string]any{"containers": containers}}
}

func withEnv(name, value string) map[string]any {
	return podOf(map[string]any{"name": "c", "image": "i", "env": []any{map[string]any{"name": name, "value": value}}})
}

func withArgs(args ...string) map[string]any {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	return podOf(map[string]any{"name": "c", "image": "i", "args": list})
}

// A credential of a shape that scanners look for must not stand in this file as a
// whole, or they find it here.
var (
	awsKey    = "AKIA" + "IOSFODNN7EXAMPLE"
	gitHub    = "ghp" + "_" + strings.Repeat("a1B2", 9)
	gitHubPAT = "github" + "_pat_" + strings.Repeat("a1B2", 8)
	gitLab    = "glpat" + "-" + strings.Repeat("a1B2", 5)
	slack     = "xoxb" + "-" + "0123456789-abcdef"
	google    = "AIza" + strings.Repeat("a1B2_", 7)
	stripe    = "sk" + "_live_" + "0123456789abcdef"
	webToken  = "eyJ" + "hbGciOiJub25lIn0." + "eyJ" + "zdWIiOiJzaG9wIn0.c2ln"
	pem       = "-----BEGIN EC PRIVATE " + "KEY-----\nMHcCAQEE\n-----END EC PRIVATE " + "KEY-----\n"
)

// settingCases are lines of configuration and what is found in them; empty is
// nothing.
var settingCases = []struct{ line, want string }{
	{`password=hunter2`, "a password"},
	{`password: hunter2`, "a password"},
	{`  - password: hunter2`, "a password"},
	{`db.password = hunter2`, "a password"},
	{`"password": "hunter2"`, "a password"},
	{`{"user":"a","password":"hunter2"}`, "a password"},
	{`{user: a, password: hunter2}`, "a password"},
	{`export DB_PASSWORD=hunter2`, "a password"},
	{`spring.datasource.password=password`, "a password"},
	{`POSTGRES_PASSWORD: "password"`, "a password"},
	{`DB_PASS=12345`, "a password"},
	{`smtp_pwd: 'x9'`, "a password"},
	{`Server=db;Database=shop;User Id=sa;Password=hunter2;`, "a password"},
	{`host=db user=shop password=hunter2 dbname=shop`, "a password"},
	{`jdbc:mysql://db/shop?user=shop&password=hunter2`, "a password"},
	{`app --verbose --db-password hunter2`, "a password"},
	{`app --verbose --db-password=hunter2`, "a password"},
	{`String password = "hunter2";`, "a password"},
	{`password1: hunter2`, "a password"},
	{`DB_PASSWORD_PROD=hunter2`, "a password"},
	{`passphrase: correct horse`, "a password"},
	{`passwords: hunter2`, "a password"},
	{`client_secret: abcdef`, "a secret"},
	{`clientSecret: abcdef`, "a secret"},
	{`jwt.secret=s3cr3t-s3cr3t`, "a secret"},
	{`SESSION_SECRET=correct-horse-battery-staple`, "a secret"},
	{`token: 9a08jv.c0izixklcxtmnze7`, "a token"},
	{`_authToken=0123abcd`, "a token"},
	{`API_TOKEN="abc123"`, "a token"},
	{`apiKey: 4711-0815`, "a key"},
	{`api-key = abcdef`, "a key"},
	{`AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI`, "a key"},
	{`AccountName=shop;AccountKey=Zm9vYmFy;`, "a key"},
	{`encryption_key: 0f1e2d3c`, "a key"},

	{`password=`, ""},
	{`password: ""`, ""},
	{`password:`, ""},
	{`password: null`, ""},
	{`password: ${DB_PASSWORD}`, ""},
	{`password: $DB_PASSWORD`, ""},
	{`password: "{{ .Values.password }}"`, ""},
	{`password: pre-${X}`, ""},
	{`password: <password>`, ""},
	{`password: '****'`, ""},
	{`password: xxxxxx`, ""},
	{`password: your-password`, ""},
	{`password: REPLACE_ME`, ""},
	{`password: %(password)s`, ""},
	{`password: !vault abc`, ""},
	{`password: vault:secret/data/db#password`, ""},
	{`password: ref+vault://db`, ""},
	{`password: /run/secrets/db`, ""},
	{`password: string`, ""},
	{`# password: hunter2`, ""},
	{`; password = hunter2`, ""},
	{`// password: hunter2`, ""},
	{`port: 80 # password: hunter2`, ""},
	{`Enter the password: please`, ""},
	{`if password == other:`, ""},
	{`password = os.environ["PASSWORD"]`, ""},
	{`password = get_password()`, ""},
	{`password = config.password`, ""},
	{`self.password = password`, ""},
	{`"parse-passwd": "^1.0.0"`, ""},
	{`bypass: x1`, ""},
	{`compass=north`, ""},
	{`pass: 12`, ""},
	{`echo "PASS: all is well"`, ""},
	{`options --username and --password options`, ""},
	{`password_min_length: 8`, ""},
	{`password-file: /run/secrets/db`, ""},
	{`passwordFile: db`, ""},
	{`MYSQL_ALLOW_EMPTY_PASSWORD: "1"`, ""},
	{`secret: database-login`, ""},
	{`secretName: database`, ""},
	{`existingSecret: database`, ""},
	{`imagePullSecrets: regcred`, ""},
	{`secrets: inherit`, ""},
	{`token: 4096`, ""},
	{`max_tokens=4096`, ""},
	{`token_ttl=3600`, ""},
	{`tokenExpiry: 15m`, ""},
	{`tokenizer: words`, ""},
	{`id-token: write`, ""},
	{`automountServiceAccountToken: false`, ""},
	{`token: "$(cat /run/token)"`, ""},
	{`"key": "value"`, ""},
	{`monkey: banana`, ""},
	{`sort_key: name`, ""},
	{`primary_key: id`, ""},
	{`public_key: AAAAB3Nza`, ""},
	{`private_key: key.pem`, ""},
	{`private_key_path: key`, ""},
	{`api_key: https://example.com/keys`, ""},
	{`${TOKEN:+"x"}`, ""},

	{awsKey, "an AWS access key"},
	{`id ` + awsKey, "an AWS access key"},
	{pem, "a private key"},
	{strings.ReplaceAll(pem, "\n", `\n`), "a private key"},
	{`Authorization: Bearer ` + webToken, "a JSON Web Token"},
	{gitHub, "a GitHub token"},
	{gitHubPAT, "a GitHub token"},
	{gitLab, "a GitLab token"},
	{slack, "a Slack token"},
	{google, "a Google API key"},
	{stripe, "a Stripe key"},
	{`redis://:hunter2@cache:6379/0`, "a URL with a password"},
	{`postgres://shop:hunter2@db/shop`, "a URL with a password"},
	{`amqp://shop:p%40ss@mq`, "a URL with a password"},

	{`X` + awsKey + `X`, ""},
	{strings.ReplaceAll(pem, "PRIVATE", "PUBLIC"), ""},
	{"-----BEGIN PRIVATE " + "KEY-----\n...\n", ""},
	{"eyJ" + "hbGciOiJub25lIn0.c2ln", ""},
	{`postgres://shop@db/shop`, ""},
	{`postgres://shop:$(PW)@db/shop`, ""},
	{`postgres://shop:${PW}@db/shop`, ""},
	{`postgres://%s:%s@db/shop`, ""},
	{`postgres://shop:<password>@db/shop`, ""},
	{`postgres://shop:***@db/shop`, ""},
	{`https://example.com:8443/a@b`, ""},
	{`https://example.com:443?mail=a@example.com`, ""},
	{`["http://a:80","x@y"]`, ""},
}

// TestCredentialLines looks at each line as the second of three in a ConfigMap,
// and alone as an argument: both controls must say the same of it.
func TestCredentialLines(t *testing.T) {
	maps, env := evaluator(t, inConfigMaps, nil), evaluator(t, inEnv, nil)
	for _, c := range settingCases {
		var inMap, inArgs []string
		if c.want != "" {
			where := ""
			if strings.HasSuffix(c.want, "password") && !strings.Contains(c.want, "URL") || slices.Contains([]string{"a secret", "a token", "a key"}, c.want) {
				where = " in line 2"
			}
			inMap = []string{"key file holds " + c.want + where}
			inArgs = []string{"the command line of container c holds " + c.want}
		}
		if diff := cmp.Diff(inMap, details(t, maps, configMap(map[string]any{"file": "a: 1\n" + c.line + "\nb: 2\n"}))); diff != "" {
			t.Errorf("%s: in a ConfigMap (-want +got):\n%s", c.line, diff)
		}
		if diff := cmp.Diff(inArgs, details(t, env, withArgs(c.line))); diff != "" {
			t.Errorf("%s: as an argument (-want +got):\n%s", c.line, diff)
		}
	}
}

// TestCredentialNames sets variables and keys by name alone.
func TestCredentialNames(t *testing.T) {
	maps, env := evaluator(t, inConfigMaps, nil), evaluator(t, inEnv, nil)
	for _, c := range []struct {
		name, value string
		found       bool
	}{
		{"PASSWORD", "hunter2", true},
		{"MYSQL_ROOT_PASSWORD", "root", true},
		{"REDIS_PASS", "123", true},
		{"GITHUB_TOKEN", "abc", true},
		{"API_KEY", "abc", true},
		{"STRIPE_API_KEY", "abc", true},
		{"APIKEY", "abc", true},
		{"CLIENT_SECRET", "abc", true},
		{"db.password", "hunter2", true},
		{"dbPassword", "hunter2", true},
		{"SECRET", "abc", true},
		{"PASSWORD", "two words", true},
		{"PASSWORD", "\nhunter2\n", false}, // a file with a line feed before it: nothing to read a name from

		{"PASSWORD", "", false},
		{"PASSWORD", "false", false},
		{"PASSWORD", "$(OTHER)", false},
		{"PASSWORD_FILE", "/run/secrets/x", false},
		{"PASSWORD_FILE", "x", false},
		{"PASSWORD", "/run/secrets/x", false},
		{"SECRET_NAME", "web", false},
		{"TLS_SECRET", "web", false},
		{"TOKEN_EXPIRY", "3600", false},
		{"MAX_TOKENS", "4096", false},
		{"TOKEN_ENDPOINT", "https://example.com", false},
		{"PASSWORD_RESET_URL", "https://example.com", false},
		{"PASSWORD_MIN_LENGTH", "8", false},
		{"PUBLIC_KEY", "abc", false},
		{"KEY", "abc", false},
		{"MONKEY", "abc", false},
		{"TOKENIZERS_PARALLELISM", "abc", false},
		{"PWD", "/app", false},
		{"COMPASS", "north", false},
	} {
		if got := details(t, env, withEnv(c.name, c.value)); (len(got) > 0) != c.found {
			t.Errorf("%s=%q in a variable: got %v", c.name, c.value, got)
		}
		if got := details(t, maps, configMap(map[string]any{c.name: c.value})); (len(got) > 0) != c.found {
			t.Errorf("%s=%q in a key: got %v", c.name, c.value, got)
		}
	}
}

func TestCredentialParameters(t *testing.T) {
	p := map[string]any{"names": []any{"dsn"}, "exceptions": []any{"DEMO_PASSWORD"}}
	maps, env := evaluator(t, inConfigMaps, p), evaluator(t, inEnv, p)
	for name, found := range map[string]bool{"SENTRY_DSN": true, "DEMO_PASSWORD": false, "DEMO_PASSWORD_OLD": true, "OTHER": false} {
		for in, got := range map[string][]string{
			"variable": details(t, env, withEnv(name, "abc")), "key": details(t, maps, configMap(map[string]any{name: "abc"}))} {
			if (len(got) > 0) != found {
				t.Errorf("%s %s: got %v", in, name, got)
			}
		}
	}
}

// TestCredentialFlags looks at a flag and its value as two arguments.
func TestCredentialFlags(t *testing.T) {
	env := evaluator(t, inEnv, nil)
	for _, c := range []struct {
		args  []string
		found bool
	}{
		{[]string{"--password", "hunter2"}, true},
		{[]string{"-password", "hunter2"}, true},
		{[]string{"--db-password", "hunter2", "--verbose"}, true},
		{[]string{"--requirepass", "hunter2"}, false}, // redis: no word of its own
		{[]string{"--password", "$(PASSWORD)"}, false},
		{[]string{"--password", "--verbose"}, false},
		{[]string{"--password-file", "hunter2"}, false},
		{[]string{"password", "hunter2"}, false},
		{[]string{"--token=abc", "def"}, true},
	} {
		if got := details(t, env, withArgs(c.args...)); (len(got) > 0) != c.found {
			t.Errorf("%q: got %v", c.args, got)
		}
	}
}

// TestCredentialRulesAreOne holds the two controls to one set of rules: from what
// is found on, their variables are the same.
func TestCredentialRulesAreOne(t *testing.T) {
	shared := func(name string) []check.Variable {
		vs := controlNamed(t, name).Object.Variables
		i := slices.IndexFunc(vs, func(v check.Variable) bool { return v.Name == "awsKeys" })
		if i < 0 {
			t.Fatalf("%s has no variable awsKeys", name)
		}
		return vs[i:]
	}
	if diff := cmp.Diff(shared(inEnv), shared(inConfigMaps)); diff != "" {
		t.Errorf("the rules differ (-%s +%s):\n%s", inEnv, inConfigMaps, diff)
	}
}

// TestCredentialsAreFoundAndNotShown writes random credentials in many ways: each
// is found, none is in a message, and neither is without the name.
func TestCredentialsAreFoundAndNotShown(t *testing.T) {
	maps, env := evaluator(t, inConfigMaps, nil), evaluator(t, inEnv, nil)
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	for range 300 {
		value := ""
		for range 8 + r.IntN(60) {
			value += string("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[r.IntN(62)])
		}
		name := pick("", "db_", "DB_", "app.", "my-", "x.y.") + pick("password", "PASSWORD", "passwd", "secret", "token", "TOKEN", "api_key", "apiKey", "private-key")
		line := fmt.Sprintf(pick("%s=%s", "%s: %s", "  %s: %s", "%s = %s", `"%s": "%s"`, `{"%s":"%s"}`, "export %s='%s'", "- %s: %s", "--%s=%s"), name, value)
		text := strings.Repeat("filler: 1\n", r.IntN(20)) + line + "\n" + strings.Repeat("more\n", r.IntN(20)+1)
		for in, got := range map[string][]string{
			"ConfigMap": details(t, maps, configMap(map[string]any{"f": text})), "variable": details(t, env, withEnv("CONFIG", text)), "argument": details(t, env, withArgs("-c", line))} {
			if len(got) != 1 {
				t.Errorf("%q in a %s: got %v", line, in, got)
			} else if strings.Contains(strings.ToLower(got[0]), strings.ToLower(value)) {
				t.Errorf("%q: the message shows the credential: %s", line, got[0])
			}
		}
		other := strings.Replace(line, name, pick("color", "host.name", "user", "keyboard", "passenger", "secretary"), 1)
		if got := details(t, maps, configMap(map[string]any{"f": other + "\nx"})); len(got) != 0 {
			t.Errorf("%q: got %v", other, got)
		}
	}
}
