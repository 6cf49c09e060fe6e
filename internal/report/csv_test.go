package report

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func TestCSVCell(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"a=b", "a=b"}, {"[0]", "[0]"},
		{"=1+1", "'=1+1"}, {"+1", "'+1"}, {"-1", "'-1"}, {"@SUM(A1)", "'@SUM(A1)"}, {"  =1+1", "'  =1+1"},
		{"＝1", "'＝1"}, {"＋1", "'＋1"}, {"－1", "'－1"}, {"＠x", "'＠x"},
	} {
		if got := cell(tc.in); got != tc.want {
			t.Errorf("%q becomes %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestCSV(t *testing.T) {
	r := sampleResult()
	r.Passes = samplePasses()
	out := render(t, "csv", r, Options{})
	if lines, crlf := bytes.Count(out, []byte("\n")), bytes.Count(out, []byte("\r\n")); lines != crlf {
		t.Errorf("%d of %d lines end in CRLF (RFC 4180, 2.1)", crlf, lines)
	}
	records, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + len(r.Findings) + len(r.Passes); len(records) != want {
		t.Errorf("%d records, want %d", len(records), want)
	}
	verdicts := map[string]int{}
	for _, record := range records[1:] {
		verdicts[record[0]]++
	}
	if verdicts["fail"] != 27 || verdicts["unknown"] != 2 || verdicts["pass"] != 3 {
		t.Errorf("verdicts %v", verdicts)
	}
	if !strings.HasPrefix(string(out), "verdict,severity,control,") {
		t.Errorf("the header is %.60q", out)
	}
}
