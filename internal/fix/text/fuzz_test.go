package text

import (
	"math/rand/v2"
	"testing"
)

// seeds are documents with all that is hard about YAML and JSON.
var seeds = []string{
	"", "# only a comment", "---\n", "---\n# c\n---\na: 1\n", "a: 1\nb: 2", "{}", "{}\n", "[]", "null\n", "a:\n", "~",
	"a: 1\nb:\n  c: 2 # x\n\n# foot\nd: 3\n",
	"spec:\n  containers:\n  - name: a # n\n    image: b:1\n    # args\n    args: [x, 'y', \"z\"] # list\n  - name: c\n",
	"spec:\n    containers:\n      -   name: a\n          image: b\n\n      # second\n      - name: c\n        env:\n        - {name: x, value: \"1\"}\n",
	"a:\n  sc: {} # x\n  b:\n  # y\nc: null # z\nd: [] # q\ne: ~\n",
	"a: &x\n  k: 1\n  j: [1, 2]\nb: *x\nc:\n  <<: *x\n  z: 1\nd:\n  <<: [*x, {q: 1}]\n",
	"base: &b {k: 1, l: {m: 2}}\nuse:\n- <<: *b\n  n: 3\n- *b\n- &s text # c\nlast: *s\n",
	"x: {a: 1, b: [x, y], c: {d: }, e}\ny: [\n  a, # one\n  b,\n  # own\n  {c: d},\n]\nz: {\n  a: 1,\n  b: 2 # end\n}\n",
	"{\n  \"a\": 1,\n  \"b\": {},\n  \"c\": [\n    1,\n    {\"x\": null}\n  ]\n}\n",
	"{\"a\":1,\"b\":[],\"c\":{\"d\":\"\\ud83d\\ude42 \\/\"}}", "{\n\t\"a\": [1, 2],\n\t\"b\": {\n\t\t\"c\": true\n\t}\n}\n{\"d\": 1}\n",
	"a: |\n  x # no\n  y\n\nb: |+\n  k\n\n\nc: >-\n  folded\n  text\nd: |2\n    two\ne: |- # c\n  x\n",
	"a: plain\n  over\n\n  lines # c\nb: 'single\n  quoted ''x'''\nc: \"double \\\n  quoted\\n\" # d\n",
	"a: 1\r\nb: # c\r\n  - x # y\r\n  - z\r\n---\r\nc: |\r\n  t\r\n", "\ufeffa: 1\nb: 2\n",
	"%YAML 1.1\n---\na: !!str 1 # t\nb: !foo {c: 1}\nc: &a !!int 5\nd: ! 12\n...\n---\nx: *a\n", "--- {a: 1} # c\n--- \n- a\n- b\n...\n# end\n---\nx: 1\n",
	"? a\n: b\n? [c]\n: d\n", "? a\n: b\nc: d\n", "\"a b\": 1\n'c: d': 2\n1: x\nyes: y\n~: z\n",
	"- - a\n  - b # x\n- - c\n-\n  # d\n  e: 1\n  f: 2\n- # g\n  - h\n", "[a: b, {c: d}, ? e]\n", "a:\n- b\n-\n- c: 1\n\n  d: 2\ne:\n", "a: {\n}\nb: [ # c\n]\n",
	"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- kind: Pod\n  # x\n  apiVersion: v1\n",
	"a: &a\n  # one\n  b: 1 # two\n  # three\nc: 1 # four\n# five\n", "é: ü # ö\nlist: [é, ü]\n日本: {語: 1}\n", "a: b\nc:\n  d\n# x\ne: # y\n  f # z\n",
}

// FuzzEdit makes changes that are derived from bytes: what is not refused must
// mean what a JSON Patch library says, keep comments and other documents.
func FuzzEdit(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range seeds {
		for range 4 {
			f.Add(s, randomBytes(r, 24))
		}
	}
	f.Fuzz(func(t *testing.T, file string, choices []byte) {
		if len(file) > 4096 {
			return
		}
		changes, documents := changesOf(file, choices)
		if len(changes) > 0 {
			check(t, file, changes, documents)
		}
	})
}

// TestSeeds makes many random changes to every seed, and says how many of them
// are refused.
func TestSeeds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	made, refused := 0, map[string]int{}
	for _, s := range seeds {
		for range 400 {
			changes, documents := changesOf(s, randomBytes(r, 24))
			if len(changes) == 0 {
				continue
			}
			for _, err := range check(t, s, changes, documents) {
				if err != nil {
					refused[err.Error()]++
				} else {
					made++
				}
			}
		}
	}
	t.Logf("%d changes made", made)
	for why, n := range refused {
		if n > 20 {
			t.Logf("%6d refused: %s", n, why)
		}
	}
}
