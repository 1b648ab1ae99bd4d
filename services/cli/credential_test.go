package cli

import (
	"slices"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func TestCredentialCommands(t *testing.T) {
	s := newSystem(t)
	valid := &v1.Credential{AccessKeyId: "DROVERQ4ZK7M2XTPW3NA", Description: "CI", CreatedAtMs: noon}
	revoked := &v1.Credential{AccessKeyId: "DROVERAAAAAAAAAAAAAA", CreatedAtMs: noon, RevokedAtMs: noon + 1500}
	reply(s, bus.CreateCredential, &v1.CreateCredentialReply{Credential: valid, SecretAccessKey: "SECRET"})
	reply(s, bus.ListCredentials, &v1.ListCredentialsReply{Credentials: []*v1.Credential{valid, revoked}})
	reply(s, bus.RevokeCredential, &v1.RevokeCredentialReply{Credential: revoked})

	s.want(s.run("credential", "create", "--description", "CI"), exitDone, "export AWS_ACCESS_KEY_ID=DROVERQ4ZK7M2XTPW3NA\nexport AWS_SECRET_ACCESS_KEY=SECRET\n")
	s.want(s.run("credential", "create", "-o", "json"), exitDone, `"accessKeyId": "DROVERQ4ZK7M2XTPW3NA"`, `"secretAccessKey": "SECRET"`, `"createdAt": "2026-11-25T12:00:00.000Z"`)
	s.want(s.run("credential", "list"), exitDone, "DROVERQ4ZK7M2XTPW3NA", "2026-11-25 12:00:01Z", "CI")
	s.want(s.run("credential", "list", "-o", "json"), exitDone, `{"credentials": [`, `"revokedAt":"2026-11-25T12:00:01.500Z"`)
	s.want(s.run("credential", "revoke", "DROVERAAAAAAAAAAAAAA"), exitDone, "revoked access key DROVERAAAAAAAAAAAAAA")
	s.want(s.run("credential", "revoke", "DROVERAAAAAAAAAAAAAA", "-o", "json"), exitDone, `"revokedAt": "`)
	s.want(s.run("__complete", "credential", "revoke", ""), exitDone, "DROVERQ4ZK7M2XTPW3NA\n")
	var told []string
	for _, q := range s.requests() {
		switch q := q.(type) {
		case *v1.CreateCredential:
			told = append(told, "create "+q.GetDescription())
		case *v1.RevokeCredential:
			told = append(told, "revoke "+q.GetAccessKeyId())
		}
	}
	if want := []string{"create CI", "create ", "revoke DROVERAAAAAAAAAAAAAA", "revoke DROVERAAAAAAAAAAAAAA"}; !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
}
