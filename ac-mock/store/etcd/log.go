package etcd

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap/zapcore"
)

// bridge is a zap core that speaks slog. etcd tells the story of its life at
// info; here that is debug, its warnings too, and its errors are warnings: they
// are about its insides, and what fails for us comes back as an error anyway.
type bridge struct {
	log    *slog.Logger
	fields []zapcore.Field
}

var levels = map[zapcore.Level]slog.Level{
	zapcore.DebugLevel: slog.LevelDebug - 4,
	zapcore.InfoLevel:  slog.LevelDebug,
	zapcore.WarnLevel:  slog.LevelDebug,
	zapcore.ErrorLevel: slog.LevelWarn,
}

func level(l zapcore.Level) slog.Level {
	if s, ok := levels[l]; ok {
		return s
	}
	return slog.LevelError // panic and fatal
}

func (b *bridge) Enabled(l zapcore.Level) bool {
	return b.log.Enabled(context.Background(), level(l))
}

func (b *bridge) With(f []zapcore.Field) zapcore.Core {
	return &bridge{log: b.log, fields: append(b.fields[:len(b.fields):len(b.fields)], f...)}
}

func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	// A panic or fatal must be checked in whatever the level: zap ends the process after it.
	if b.Enabled(e.Level) || e.Level > zapcore.ErrorLevel {
		return ce.AddCore(e, b)
	}
	return ce
}

func (b *bridge) Write(e zapcore.Entry, f []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, field := range append(b.fields[:len(b.fields):len(b.fields)], f...) {
		field.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields)+1)
	attrs = append(attrs, slog.String("part", strings.TrimSpace("etcd "+e.LoggerName)))
	for k, v := range enc.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	b.log.LogAttrs(context.Background(), level(e.Level), e.Message, attrs...)
	return nil
}

func (b *bridge) Sync() error { return nil }
