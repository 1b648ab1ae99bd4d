package credential

import (
	"context"
	"errors"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	pageDefault = 100
	pageMax     = 1000
)

// Serve answers CreateCredential, RevokeCredential and ListCredentials on server. Any number of processes may.
func Serve(server *bus.Server, s *Store) error {
	return errors.Join(
		bus.Serve(server, bus.CreateCredential, s.create),
		bus.Serve(server, bus.RevokeCredential, s.revoke),
		bus.Serve(server, bus.ListCredentials, s.list),
	)
}

func (s *Store) create(ctx context.Context, _ bus.Request, q *v1.CreateCredential) (*v1.CreateCredentialReply, error) {
	c, secret, err := s.Create(ctx, q.GetDescription())
	if err != nil {
		return nil, err
	}
	s.log.Info("an access key was made", "accessKeyId", c.AccessKeyID, "description", c.Description)
	return &v1.CreateCredentialReply{Credential: message(c), SecretAccessKey: string(secret)}, nil
}

func (s *Store) revoke(ctx context.Context, _ bus.Request, q *v1.RevokeCredential) (*v1.RevokeCredentialReply, error) {
	c, err := s.Revoke(ctx, q.GetAccessKeyId())
	if err != nil {
		return nil, err
	}
	s.log.Info("an access key was revoked", "accessKeyId", c.AccessKeyID, "description", c.Description)
	return &v1.RevokeCredentialReply{Credential: message(c)}, nil
}

// list's token is the last id of the page before: keys are never taken off the list.
func (s *Store) list(_ context.Context, _ bus.Request, q *v1.ListCredentials) (*v1.ListCredentialsReply, error) {
	limit := int(q.GetPage().GetLimit())
	switch {
	case limit == 0:
		limit = pageDefault
	case limit > pageMax:
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "maxResults", "%d is more than a page holds; 1 to %d are allowed, 0 is %d", limit, pageMax, pageDefault)
	}
	all := s.List()
	if last := q.GetPage().GetToken(); last != "" {
		i := slices.IndexFunc(all, func(c Credential) bool { return c.AccessKeyID == last })
		if i < 0 {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "nextToken", "is none of this list's")
		}
		all = all[i+1:]
	}
	reply := &v1.ListCredentialsReply{}
	if len(all) > limit {
		all = all[:limit]
		reply.NextToken = all[limit-1].AccessKeyID
	}
	for _, c := range all {
		reply.Credentials = append(reply.Credentials, message(c))
	}
	return reply, nil
}

func message(c Credential) *v1.Credential {
	m := &v1.Credential{AccessKeyId: c.AccessKeyID, Description: c.Description, CreatedAtMs: c.Created.UnixMilli()}
	if !c.Revoked.IsZero() {
		m.RevokedAtMs = c.Revoked.UnixMilli()
	}
	return m
}
