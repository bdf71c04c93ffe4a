// Reads, writes, watches, leases, locks and elections through clientv3 and its concurrency package; ends with an error
// when one fails. Arguments: the endpoints.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	patience  = 60 * time.Second
	lookPause = 20 * time.Millisecond
	// What a member says that is behind by a moment.
	futureRevision = "etcdserver: mvcc: required revision is a future revision"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return value
}

func check(holds bool, what string, found ...any) {
	if !holds {
		log.Panicf("%s: %+v", what, found)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := must(clientv3.New(clientv3.Config{Endpoints: os.Args[1:], DialTimeout: patience}))
	defer client.Close()
	readAndWrite(ctx, client)
	transactions(ctx, client)
	watches(ctx, client)
	leases(ctx, client)
	locks(ctx, client)
	elections(ctx, client)
	transactionalMemory(ctx, client)
	cluster(ctx, client)
	must(client.Delete(ctx, "go/", clientv3.WithPrefix()))
	fmt.Println("the clientv3 script is through")
}

func readAndWrite(ctx context.Context, client *clientv3.Client) {
	first := must(client.Put(ctx, "go/a", "one"))
	second := must(client.Put(ctx, "go/a", "two", clientv3.WithPrevKV()))
	check(string(second.PrevKv.Value) == "one", "the value before", second.PrevKv)
	old := must(client.Get(ctx, "go/a", clientv3.WithRev(first.Header.Revision)))
	check(string(old.Kvs[0].Value) == "one", "the value of a past revision", old.Kvs)
	for i := range 10 {
		must(client.Put(ctx, fmt.Sprintf("go/list/%02d", i), "x"))
	}
	page := must(client.Get(ctx, "go/list/", clientv3.WithPrefix(), clientv3.WithLimit(4)))
	check(len(page.Kvs) == 4 && page.More && page.Count == 10, "a page", page)
	last := must(client.Get(ctx, "go/list/", clientv3.WithLastKey()...))
	check(string(last.Kvs[0].Key) == "go/list/09", "the last key", last.Kvs)
	gone := must(client.Delete(ctx, "go/list/", clientv3.WithPrefix(), clientv3.WithPrevKV()))
	check(gone.Deleted == 10 && len(gone.PrevKvs) == 10, "what was deleted", gone)
	must(client.Compact(ctx, second.Header.Revision))
	_, err := client.Get(ctx, "go/a", clientv3.WithRev(first.Header.Revision))
	check(err != nil && err.Error() == "etcdserver: mvcc: required revision has been compacted", "compacted", err)
}

func transactions(ctx context.Context, client *clientv3.Client) {
	won := must(client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("go/a"), "=", "two"), clientv3.Compare(clientv3.CreateRevision("go/new"), "=", 0)).
		Then(clientv3.OpPut("go/new", "x"), clientv3.OpGet("go/new")).
		Else(clientv3.OpGet("go/a")).Commit())
	check(won.Succeeded && len(won.Responses) == 2, "a transaction", won)
	check(len(won.Responses[1].GetResponseRange().Kvs) == 1, "a read of its own write", won)
	lost := must(client.Txn(ctx).If(clientv3.Compare(clientv3.Version("go/new"), ">", 5)).
		Else(clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete("go/new")}, nil)).Commit())
	check(!lost.Succeeded, "the other branch", lost)
	check(must(client.Get(ctx, "go/new")).Count == 0, "a nested delete")
}

func watches(ctx context.Context, client *clientv3.Client) {
	put := must(client.Put(ctx, "go/watched", "1"))
	past := client.Watch(clientv3.WithRequireLeader(ctx), "go/watched", clientv3.WithRev(put.Header.Revision), clientv3.WithPrevKV())
	must(client.Put(ctx, "go/watched", "2"))
	must(client.Delete(ctx, "go/watched"))
	var seen []string
	for len(seen) < 3 {
		response := <-past
		if err := response.Err(); err != nil {
			log.Panic(err)
		}
		for _, event := range response.Events {
			before := ""
			if event.PrevKv != nil {
				before = string(event.PrevKv.Value)
			}
			seen = append(seen, fmt.Sprintf("%s %s<%s", event.Type, event.Kv.Value, before))
		}
	}
	check(fmt.Sprint(seen) == "[PUT 1< PUT 2<1 DELETE <2]", "events", seen)
	if err := client.RequestProgress(clientv3.WithRequireLeader(ctx)); err != nil {
		log.Panic(err)
	}
	progress := <-past
	check(progress.IsProgressNotify() && progress.Header.Revision > put.Header.Revision, "progress", progress)
	compacted := client.Watch(ctx, "go/watched", clientv3.WithRev(1))
	response := <-compacted
	check(response.CompactRevision > 0 && response.Canceled, "a watch from the compacted past", response)
}

func leases(ctx context.Context, client *clientv3.Client) {
	lease := must(client.Grant(ctx, 600))
	must(client.Put(ctx, "go/leased", "x", clientv3.WithLease(lease.ID)))
	alive := must(client.KeepAliveOnce(ctx, lease.ID))
	check(alive.TTL == 600, "a renewal", alive)
	left := must(client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys()))
	check(left.GrantedTTL == 600 && len(left.Keys) == 1, "the time left", left)
	must(client.Revoke(ctx, lease.ID))
	check(must(client.Get(ctx, "go/leased")).Count == 0, "the key of a revoked lease")
	_, err := client.KeepAliveOnce(ctx, lease.ID)
	check(err != nil && err.Error() == "etcdserver: requested lease not found", "a lease that is gone", err)
}

func locks(ctx context.Context, client *clientv3.Client) {
	var held sync.WaitGroup
	counter := 0
	for range 5 {
		held.Add(1)
		go func() {
			defer held.Done()
			session := must(concurrency.NewSession(client, concurrency.WithContext(ctx), concurrency.WithTTL(60)))
			defer session.Close()
			mutex := concurrency.NewMutex(session, "go/lock")
			if err := mutex.Lock(ctx); err != nil {
				log.Panic(err)
			}
			counter++
			// With an operation: a transaction of comparisons alone may be answered from the past.
			owned := must(client.Txn(ctx).If(mutex.IsOwner()).Then(clientv3.OpGet(mutex.Key())).Commit())
			check(owned.Succeeded, "who holds the lock owns it")
			if err := mutex.Unlock(ctx); err != nil {
				log.Panic(err)
			}
		}()
	}
	held.Wait()
	check(counter == 5, "turns", counter)
}

func elections(ctx context.Context, client *clientv3.Client) {
	one := must(concurrency.NewSession(client, concurrency.WithContext(ctx), concurrency.WithTTL(60)))
	two := must(concurrency.NewSession(client, concurrency.WithContext(ctx), concurrency.WithTTL(60)))
	defer two.Close()
	first, second := concurrency.NewElection(one, "go/election"), concurrency.NewElection(two, "go/election")
	if err := first.Campaign(ctx, "first"); err != nil {
		log.Panic(err)
	}
	elected := make(chan error, 1)
	go func() { elected <- second.Campaign(ctx, "second") }()
	check(string(must(second.Leader(ctx)).Kvs[0].Value) == "first", "the first leads")
	if err := first.Proclaim(ctx, "still first"); err != nil {
		log.Panic(err)
	}
	if err := one.Close(); err != nil {
		log.Panic(err)
	}
	if err := <-elected; err != nil {
		log.Panic(err)
	}
	observed := <-second.Observe(ctx)
	check(string(observed.Kvs[0].Value) == "second", "the second leads", observed.Kvs)
	if err := second.Resign(ctx); err != nil {
		log.Panic(err)
	}
}

func transactionalMemory(ctx context.Context, client *clientv3.Client) {
	must(client.Put(ctx, "go/count", "0"))
	var adding sync.WaitGroup
	for range 4 {
		adding.Add(1)
		go func() {
			defer adding.Done()
			must(concurrency.NewSTM(client, func(stm concurrency.STM) error {
				count := 0
				if _, err := fmt.Sscan(stm.Get("go/count"), &count); err != nil {
					return err
				}
				stm.Put("go/count", fmt.Sprint(count+1))
				return nil
			}, concurrency.WithAbortContext(ctx)))
		}()
	}
	adding.Wait()
	count := string(must(client.Get(ctx, "go/count")).Kvs[0].Value)
	check(count == "4", "what four added", count)
}

func cluster(ctx context.Context, client *clientv3.Client) {
	members := must(client.MemberList(ctx)).Members
	check(len(members) == len(client.Endpoints()), "members", members)
	hashes := map[uint32]bool{}
	revision := must(client.Get(ctx, "go/count")).Header.Revision
	for _, endpoint := range client.Endpoints() {
		status := must(client.Status(ctx, endpoint))
		check(status.Version != "" && status.Leader != 0, "the status", status)
		hashes[hashOf(ctx, client, endpoint, revision)] = true
		must(client.Defragment(ctx, endpoint))
	}
	check(len(hashes) == 1, "hashes of the members", hashes)
	check(len(must(client.AlarmList(ctx)).Alarms) == 0, "alarms")
}

// hashOf asks one member, which may have to apply a revision first that a majority has.
func hashOf(ctx context.Context, client *clientv3.Client, endpoint string, revision int64) uint32 {
	for {
		answer, err := client.HashKV(ctx, endpoint, revision)
		if err == nil || err.Error() != futureRevision {
			return must(answer, err).Hash
		}
		time.Sleep(lookPause)
	}
}
