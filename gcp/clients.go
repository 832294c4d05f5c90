package gcp

import (
	"context"
	"os"
	"sync"

	firestore "cloud.google.com/go/firestore/apiv1"
	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// newClients returns the store in a database and the inbox on a topic. A client is
// opened by the first request that needs it: a tool without a store waits for
// none, an event without a large body only for Pub/Sub's.
func newClients(database, topic string) (*Store, *Inbox) {
	store := &Store{client: lazy(OpenFirestore), database: database}
	return store, newInbox(lazy(openPublisher), topic, store)
}

// OpenFirestore opens a client of the API under Google's own clients, which
// can commit several writes on conditions in one request. It goes to
// FIRESTORE_EMULATOR_HOST where that is set. It opens no connection.
func OpenFirestore(ctx context.Context) (*firestore.Client, error) {
	if host := os.Getenv("FIRESTORE_EMULATOR_HOST"); host != "" {
		return firestore.NewClient(ctx, option.WithEndpoint(host), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
			option.WithGRPCDialOption(grpc.WithPerRPCCredentials(owner{})))
	}
	return firestore.NewClient(ctx)
}

// openPublisher opens a client that goes to PUBSUB_EMULATOR_HOST where that is
// set.
func openPublisher(ctx context.Context) (*pubsub.TopicAdminClient, error) {
	return pubsub.NewTopicAdminClient(ctx)
}

// owner is who the emulator asks no security rules about.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}
func (owner) RequireTransportSecurity() bool { return false }

// lazy opens something when it is first asked for, and again where that
// failed. It outlives the request that asked.
func lazy[T any](open func(context.Context) (T, error)) func() (T, error) {
	var (
		mu sync.Mutex
		v  T
		ok bool
	)
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			return v, nil
		}
		opened, err := open(context.Background())
		if err == nil {
			v, ok = opened, true
		}
		return v, err
	}
}
