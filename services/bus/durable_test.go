package bus

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Every operation is a durable command, or stands here with the reason why it is none.
func TestEveryCommandIsDurableOrSaysWhyNot(t *testing.T) {
	never := map[string]string{
		"CheckTargets":      "a question of intake",
		"DescribeExecution": "a question",
		"GetPending":        "a question, of devices",
		"StartNext":         "of devices, which ask again by themselves",
		"UpdateExecution":   "of devices, which ask again by themselves",
		"GetHolding":        "a question",
		"GetThingHolding":   "a question",
		"RetryPoison":       "of the inbox itself",
		"DropPoison":        "of the inbox itself",
		"CreateCredential":  "its outcome, which is kept, would tell a secret",
		"RevokeCredential":  "of the HTTP front",
	}
	file, err := parser.ParseFile(token.NewFileSet(), "operations.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string // by their subjects
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		maker, subject := made(v.Values[0])
		switch name := v.Names[0].Name; {
		case maker == "" || maker == "query":
		case never[name] != "":
			delete(never, name)
		default:
			commands = append(commands, subject)
		}
		return true
	})
	var have []string
	for _, c := range DurableCommands() {
		have = append(have, c.Subject())
	}
	slices.Sort(commands)
	slices.Sort(have)
	if !slices.Equal(have, commands) {
		t.Errorf("durable are %v, commands are %v", have, commands)
	}
	if len(never) > 0 {
		t.Errorf("no such operations: %v", never)
	}
}

// made finds which function makes an operation, and the operation's name in subjects.
func made(e ast.Expr) (maker, subject string) {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	var texts []string
	for _, a := range call.Args {
		if l, ok := a.(*ast.BasicLit); ok {
			texts = append(texts, strings.Trim(l.Value, `"`))
		}
	}
	fun := call.Fun
	if i, ok := fun.(*ast.IndexListExpr); ok {
		fun = i.X
	}
	name, ok := fun.(*ast.Ident)
	if !ok {
		return "", ""
	}
	if name.Name == "thingCommand" {
		texts = append([]string{"execution"}, texts...)
	}
	return name.Name, strings.Join(texts, ".")
}

func TestACommandIsFoundByItsNameAndReadsItsOwnMessage(t *testing.T) {
	for _, c := range DurableCommands() {
		service, name, _ := strings.Cut(c.Subject(), ".")
		found, ok := DurableCommand(service, name)
		if !ok || found.String() != service+" "+name {
			t.Errorf("%s: found %v", c.Subject(), found)
		}
		if _, err := c.Parse([]byte(`{"nonsense":1}`), true); err == nil {
			t.Errorf("%s takes nonsense", c)
		}
		if c.PerThing() != (service == "execution") {
			t.Errorf("%s: per thing %v", c, c.PerThing())
		}
	}
	for _, name := range []string{"job.list", "execution.update", "job.", ".create", "job.create.x"} {
		service, rest, _ := strings.Cut(name, ".")
		if c, ok := DurableCommand(service, rest); ok {
			t.Errorf("%s is %s", name, c)
		}
	}
	c, _ := DurableCommand("job", "cancel")
	m, err := c.Parse([]byte(`{"jobId":"j1"}`), true)
	if err != nil || !proto.Equal(m, &v1.CancelJob{JobId: "j1"}) {
		t.Errorf("%v %v", m, err)
	}
	if _, err := c.Call(t.Context(), nil, &v1.CreateGroup{}); err == nil {
		t.Error("a job cancel took a CreateGroup")
	}
}

func TestTokensAreTokensAndNoTwoTextsShareOne(t *testing.T) {
	for text, want := range map[string]string{
		"abc-1_2": "abc-1_2", "": "%", "a.b": "a%2Eb", "*": "%2A", ">": "%3E", "a b": "a%20b", "%": "%25", "%2E": "%252E", "é": "%C3%A9", "$JS": "$JS",
	} {
		if got := Token(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[string]string{}
	for range 20_000 {
		b := make([]byte, rng.IntN(4))
		for i := range b {
			b[i] = ".*>% aA2E\x00\xff"[rng.IntN(11)]
		}
		token := Token(string(b))
		if token == "" || strings.ContainsAny(token, ".*> \t\r\n") {
			t.Fatalf("%q: %q is no token", b, token)
		}
		if other, ok := seen[token]; ok && other != string(b) {
			t.Fatalf("%q and %q are both %q", b, other, token)
		}
		seen[token] = string(b)
	}
}

func TestSubjectsOfTheInboxAreParsedAsTheyAreBuilt(t *testing.T) {
	for _, subject := range []string{InboxSubject("job", "create"), AsideSubject("job", "create"), "inbox.4.job.create"} {
		service, name, err := ParseInboxSubject(subject)
		if err != nil || service != "job" || name != "create" {
			t.Errorf("%s: %s %s %v", subject, service, name, err)
		}
	}
	for _, subject := range []string{"", "drover.inbox.job", "drover.inbox.job.create.x", "drover.inbox.a.b.c.d", "drover.outbox.job.create", "inbox.4.job"} {
		if service, name, err := ParseInboxSubject(subject); err == nil {
			t.Errorf("%s is %s %s", subject, service, name)
		}
	}
}

func TestCommandIDsAreOneTo64PrintableCharacters(t *testing.T) {
	for _, id := range []string{"a", "a b.*>%~", strings.Repeat("x", 64)} {
		if err := CheckCommandID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 65), "é", "a\nb", "\x7f"} {
		if CheckCommandID(id) == nil {
			t.Errorf("%q is allowed", id)
		}
	}
}
