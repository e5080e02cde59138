package api

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEventsOfStrangersAreBounded(t *testing.T) {
	e := NodeEvent{
		Level: -7, Source: strings.Repeat("s", 1000) + "\x1b", Text: "a\x1b[2J\nb\xffé " + strings.Repeat("é", 1000),
		Detail: json.RawMessage(`"` + strings.Repeat("x", MaxEventDetail) + `"`),
	}.Shown()
	if e.Level != 1 || len(e.Source) > 64 || len(e.Text) > MaxEventText || !utf8.ValidString(e.Text) || e.Detail != nil {
		t.Errorf("%+v", e)
	}
	if !strings.HasPrefix(e.Text, "a [2J b?é éé") {
		t.Errorf("text %.20q", e.Text)
	}
	good := NodeEvent{Level: 8, Source: "alarm:disk", Text: "disk /: 95 %", Detail: json.RawMessage(`{"value":95}`)}
	if got := good.Shown(); got.Text != good.Text || got.Level != 8 || string(got.Detail) != string(good.Detail) {
		t.Errorf("%+v", got)
	}
	if _, err := json.Marshal(NodeEvent{Detail: json.RawMessage(`{`)}.Shown()); err != nil {
		t.Error(err)
	}
}
