package aws

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/retry"
)

// Attributes of the table. Short, because they count as part of an item.
const (
	attrDir     = "d" // partition key: the directory of the key
	attrName    = "n" // sort key: its name
	attrValue   = "v"
	attrVersion = "r"
	attrWritten = "w" // ms, by the service's clock
	attrExpires = "e" // s since 1970: the attribute of the table's time to live
)

// A Store keeps records in one DynamoDB table: an item is a record, its
// directory the partition key and its name the sort key. Every read is
// consistent. Expiry is decided in the conditions; the table's time to live only
// collects the garbage.
//
// DynamoDB has no clock in its conditions. The service's clock is taken from the
// headers of its responses, so instances agree on ages to about a second.
type Store struct {
	client *dynamodb.Client
	table  string
	skew   atomic.Int64 // ns that the service's clock is ahead of this machine's
}

var _ records.Store = (*Store)(nil)

// NewStore returns a store on a table that exists; see CreateTable. It makes
// no request before it is used.
func NewStore(client *dynamodb.Client, table string) *Store {
	return &Store{client: client, table: table}
}

// now is the time by the service's clock, as far as it is known.
func (s *Store) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// syncClock takes the service's clock from a response.
func (s *Store) syncClock(m middleware.Metadata) {
	there, ok1 := awsmiddleware.GetServerTime(m)
	here, ok2 := awsmiddleware.GetResponseAt(m)
	if !ok1 || !ok2 {
		return
	}
	// The header has whole seconds: up to one of them is not skew.
	if d := there.Sub(here); d < -time.Second || d > time.Second {
		s.skew.Store(int64(d))
	} else {
		s.skew.Store(0)
	}
}

// getBatch is the most keys in one BatchGetItem.
const getBatch = 100

// Get implements records.Store.
func (s *Store) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	found := make(map[string]records.Record, len(keys))
	var wanted []string
	for _, k := range keys {
		if _, _, err := records.SplitKey(k); err != nil {
			return nil, err
		}
		if _, twice := found[k]; !twice {
			found[k] = records.Record{Key: k}
			wanted = append(wanted, k)
		}
	}
	if len(wanted) == 1 {
		out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: itemKey(wanted[0]), ConsistentRead: awssdk.Bool(true)})
		if err != nil {
			return nil, wrap("get", err)
		}
		s.syncClock(out.ResultMetadata)
		if err := s.collect(found, out.Item); err != nil {
			return nil, err
		}
		wanted = nil
	}
	for some := range slices.Chunk(wanted, getBatch) {
		if err := s.getBatch(ctx, found, some); err != nil {
			return nil, err
		}
	}
	rs := make([]records.Record, len(keys))
	for i, k := range keys {
		rs[i] = found[k]
		rs[i].Value = slices.Clone(rs[i].Value)
	}
	return rs, nil
}

func (s *Store) getBatch(ctx context.Context, found map[string]records.Record, keys []string) error {
	rest := make([]map[string]types.AttributeValue, len(keys))
	for i, k := range keys {
		rest[i] = itemKey(k)
	}
	isUnprocessed := func(err error) bool { return err == errUnprocessed }
	return retry.Do(ctx, 0, isUnprocessed, func() error {
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			s.table: {Keys: rest, ConsistentRead: awssdk.Bool(true)},
		}})
		if err != nil {
			return wrap("get", err)
		}
		s.syncClock(out.ResultMetadata)
		for _, item := range out.Responses[s.table] {
			if err := s.collect(found, item); err != nil {
				return err
			}
		}
		if rest = out.UnprocessedKeys[s.table].Keys; len(rest) > 0 {
			return errUnprocessed
		}
		return nil
	})
}

var errUnprocessed = errors.New("aws: keys of a batch are not processed")

// collect puts the record of an item among those found, unless it has expired.
func (s *Store) collect(found map[string]records.Record, item map[string]types.AttributeValue) error {
	if len(item) == 0 {
		return nil
	}
	r, live, err := s.record(item)
	if err == nil && live {
		found[r.Key] = r
	}
	return err
}

// Range implements records.Store.
func (s *Store) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	if limit <= 0 {
		return nil, nil
	}
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: awssdk.Bool(true), Limit: awssdk.Int32(int32(min(limit, 1000))),
		KeyConditionExpression:    awssdk.String("d = :d"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":d": str(dir)},
	}
	if after != "" {
		in.KeyConditionExpression = awssdk.String("d = :d AND n > :n")
		in.ExpressionAttributeValues[":n"] = str(after)
	}
	var rs []records.Record
	for {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, wrap("range", err)
		}
		s.syncClock(out.ResultMetadata)
		for _, item := range out.Items {
			r, live, err := s.record(item)
			if err != nil {
				return nil, err
			}
			if live {
				rs = append(rs, r)
			}
			if len(rs) == limit {
				return rs, nil
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return rs, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// Commit implements records.Store: one record is one conditional write, several
// are one transaction.
func (s *Store) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil {
		return err
	}
	if len(rs) == 0 {
		return nil
	}
	return stale(retry.Do(ctx, commitTries, retryable, func() error { return s.commit(ctx, rs) }))
}

// commitTries bounds how often a commit is tried that conflicted with another
// one.
const commitTries = 12

func (s *Store) commit(ctx context.Context, rs []records.Record) error {
	if len(rs) == 1 {
		return s.commitOne(ctx, rs[0])
	}
	in, token := &dynamodb.TransactWriteItemsInput{}, newVersion()
	for _, r := range rs {
		condition, values := s.condition(r)
		if r.Value == nil {
			in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Delete: &types.Delete{
				TableName: &s.table, Key: itemKey(r.Key), ConditionExpression: &condition, ExpressionAttributeValues: values,
			}})
			continue
		}
		in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{
			TableName: &s.table, Item: s.item(r, token), ConditionExpression: &condition, ExpressionAttributeValues: values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}})
	}
	out, err := s.client.TransactWriteItems(ctx, in)
	if err == nil {
		s.syncClock(out.ResultMetadata)
		return nil
	}
	if t, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for _, reason := range t.CancellationReasons {
			if wroteItself(reason.Item, token) {
				return nil
			}
		}
	}
	return err
}

func (s *Store) commitOne(ctx context.Context, r records.Record) error {
	condition, values := s.condition(r)
	if r.Value == nil {
		out, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: itemKey(r.Key), ConditionExpression: &condition, ExpressionAttributeValues: values,
		})
		if err == nil {
			s.syncClock(out.ResultMetadata)
		}
		return err
	}
	token := newVersion()
	out, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: s.item(r, token), ConditionExpression: &condition, ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err == nil {
		s.syncClock(out.ResultMetadata)
		return nil
	}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok && wroteItself(failed.Item, token) {
		return nil
	}
	return err
}

// isOurs reports whether the item that failed a condition is what we wrote
// ourselves: the SDK sends a request again when its answer is lost, and then
// the first one is in its way.
func wroteItself(item map[string]types.AttributeValue, version int64) bool {
	v, ok := integer(item[attrVersion])
	return ok && v == version
}

// condition is that the record is at its version: absent or expired for a new
// one, there and not expired for another.
func (s *Store) condition(r records.Record) (string, map[string]types.AttributeValue) {
	now := number(s.now().Unix())
	if r.Version == 0 {
		return "attribute_not_exists(d) OR e <= :now", map[string]types.AttributeValue{":now": now}
	}
	return "r = :r AND (attribute_not_exists(e) OR e > :now)", map[string]types.AttributeValue{":r": number(r.Version), ":now": now}
}

func (s *Store) item(r records.Record, version int64) map[string]types.AttributeValue {
	item := itemKey(r.Key)
	item[attrValue] = &types.AttributeValueMemberB{Value: r.Value}
	item[attrVersion] = number(version)
	item[attrWritten] = number(s.now().UnixMilli())
	if !r.Expires.IsZero() {
		item[attrExpires] = number(r.Expires.Unix())
	}
	return item
}

// newVersion is random, so that it never repeats, even if a record is deleted and
// created again, and identifies its writer.
func newVersion() int64 { return 1 + rand.Int64N(1<<62) }

// record reads an item. live is false when it has expired.
func (s *Store) record(item map[string]types.AttributeValue) (r records.Record, live bool, err error) {
	dir, ok1 := item[attrDir].(*types.AttributeValueMemberS)
	name, ok2 := item[attrName].(*types.AttributeValueMemberS)
	value, ok3 := item[attrValue].(*types.AttributeValueMemberB)
	version, ok4 := integer(item[attrVersion])
	written, ok5 := integer(item[attrWritten])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return r, false, errors.New("aws: an item of the table is not a record")
	}
	now := s.now()
	r = records.Record{Key: dir.Value + "/" + name.Value, Value: value.Value, Version: version, Age: max(0, now.Sub(time.UnixMilli(written)))}
	if r.Value == nil {
		r.Value = []byte{}
	}
	if e, ok := integer(item[attrExpires]); ok {
		r.Expires = time.Unix(e, 0)
	}
	return r, r.Expires.IsZero() || now.Before(r.Expires), nil
}

func itemKey(key string) map[string]types.AttributeValue {
	dir, name, _ := records.SplitKey(key) // checked before
	return map[string]types.AttributeValue{attrDir: str(dir), attrName: str(name)}
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func integer(v types.AttributeValue) (int64, bool) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	return i, err == nil
}

// stale turns a failed condition into records.ErrStale.
func stale(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return records.ErrStale
	}
	if t, ok := errors.AsType[*types.TransactionCanceledException](err); ok && hasReason(t, "ConditionalCheckFailed") {
		return records.ErrStale
	}
	return wrap("commit", err)
}

// retryable reports whether a commit may be repeated as it is: it conflicted with
// another one, or the service was busy, and it has changed nothing.
func retryable(err error) bool {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return true
	}
	if t, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return !hasReason(t, "ConditionalCheckFailed") && (hasReason(t, "TransactionConflict") || hasReason(t, "ThrottlingError") || hasReason(t, "ProvisionedThroughputExceeded"))
	}
	return false
}

func hasReason(t *types.TransactionCanceledException, code string) bool {
	return slices.ContainsFunc(t.CancellationReasons, func(r types.CancellationReason) bool { return awssdk.ToString(r.Code) == code })
}

// passes reports whether a service may answer later: it did not answer, it failed, or
// it was busy. AWS' own clients try these again.
func passes(err error) bool {
	if retryable(err) {
		return true
	}
	if _, ok := errors.AsType[smithy.APIError](err); !ok {
		return true
	}
	return awsretry.IsErrorRetryables(awsretry.DefaultRetryables).IsErrorRetryable(err) == awssdk.TrueTernary ||
		awsretry.IsErrorThrottles(awsretry.DefaultThrottles).IsErrorThrottle(err) == awssdk.TrueTernary
}

// wrap makes the error of a service one that may be logged.
func wrap(op string, err error) error {
	code := errcode.Context(err)
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	return &errcode.Error{Package: "aws", Op: op, Code: cmp.Or(code, "no-answer"), Err: err, Pass: passes(err)}
}
