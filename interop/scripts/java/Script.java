import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.KeyValue;
import io.etcd.jetcd.Lease;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.watch.WatchEvent;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Reads, writes, watches, leases, locks and elections through jetcd; ends with an error when one fails. */
public final class Script {
  private static final long PATIENCE_SECONDS = 60;

  private final Client client;

  private Script(Client client) {
    this.client = client;
  }

  /** Arguments: the endpoints. */
  public static void main(String[] endpoints) throws Exception {
    try (Client client = Client.builder().endpoints(endpoints).build()) {
      Script script = new Script(client);
      script.readAndWrite();
      script.transactions();
      script.watches();
      script.leases();
      script.locks();
      script.elections();
      script.cluster(endpoints.length);
      get(client.getKVClient().delete(text("java/"), DeleteOption.builder().isPrefix(true).build()));
    }
    System.out.println("the jetcd script is through");
  }

  private void readAndWrite() throws Exception {
    KV kv = client.getKVClient();
    get(kv.put(text("java/a"), text("one")));
    var put = get(kv.put(text("java/a"), text("two"), PutOption.builder().withPrevKV().build()));
    check(put.getPrevKv().getValue().equals(text("one")), "the value before", put);
    for (int i = 0; i < 10; i++) {
      get(kv.put(text("java/list/" + i), text("x")));
    }
    var page = get(kv.get(text("java/list/"), GetOption.builder().isPrefix(true).withLimit(4).build()));
    check(page.getKvs().size() == 4 && page.isMore() && page.getCount() == 10, "a page", page);
    long revision = put.getHeader().getRevision();
    var old = get(kv.get(text("java/a"), GetOption.builder().withRevision(revision - 1).build()));
    check(old.getKvs().get(0).getValue().equals(text("one")), "the value of a past revision", old);
    var gone = get(kv.delete(text("java/list/"), DeleteOption.builder().isPrefix(true).withPrevKV(true).build()));
    check(gone.getDeleted() == 10 && gone.getPrevKvs().size() == 10, "what was deleted", gone);
    get(kv.compact(revision));
  }

  private void transactions() throws Exception {
    KV kv = client.getKVClient();
    var won = get(kv.txn()
        .If(new Cmp(text("java/a"), Cmp.Op.EQUAL, CmpTarget.value(text("two"))),
            new Cmp(text("java/new"), Cmp.Op.EQUAL, CmpTarget.createRevision(0)))
        .Then(Op.put(text("java/new"), text("x"), PutOption.DEFAULT), Op.get(text("java/new"), GetOption.DEFAULT))
        .commit());
    check(won.isSucceeded() && won.getGetResponses().get(0).getCount() == 1, "a transaction", won);
    var lost = get(kv.txn()
        .If(new Cmp(text("java/new"), Cmp.Op.GREATER, CmpTarget.version(5)))
        .Else(Op.delete(text("java/new"), DeleteOption.DEFAULT))
        .commit());
    check(!lost.isSucceeded() && lost.getDeleteResponses().get(0).getDeleted() == 1, "the other branch", lost);
  }

  private void watches() throws Exception {
    BlockingQueue<WatchEvent> events = new LinkedBlockingQueue<>();
    var put = get(client.getKVClient().put(text("java/watched"), text("1")));
    WatchOption past = WatchOption.builder()
        .withRevision(put.getHeader().getRevision()).withPrevKV(true).build();
    try (Watch.Watcher watcher = client.getWatchClient()
        .watch(text("java/watched"), past, response -> events.addAll(response.getEvents()))) {
      get(client.getKVClient().put(text("java/watched"), text("2")));
      get(client.getKVClient().delete(text("java/watched")));
      for (String expected : List.of("PUT 1<", "PUT 2<1", "DELETE <2")) {
        WatchEvent event = events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        check(event != null, "an event", expected);
        String seen = event.getEventType() + " " + event.getKeyValue().getValue() + "<" + event.getPrevKV().getValue();
        check(seen.equals(expected), "an event", seen);
      }
    }
  }

  private void leases() throws Exception {
    Lease leases = client.getLeaseClient();
    long lease = get(leases.grant(600)).getID();
    get(client.getKVClient().put(text("java/leased"), text("x"), PutOption.builder().withLeaseId(lease).build()));
    LeaseKeepAliveResponse renewed = get(leases.keepAliveOnce(lease));
    check(renewed.getTTL() == 600, "a renewal", renewed);
    var left = get(leases.timeToLive(lease, LeaseOption.builder().withAttachedKeys().build()));
    check(left.getGrantedTTL() == 600 && left.getKeys().size() == 1, "the time left", left);
    get(leases.revoke(lease));
    check(get(client.getKVClient().get(text("java/leased"))).getCount() == 0, "a key without its lease", lease);
  }

  private void locks() throws Exception {
    long one = get(client.getLeaseClient().grant(60)).getID();
    long two = get(client.getLeaseClient().grant(60)).getID();
    ByteSequence held = get(client.getLockClient().lock(text("java/lock"), one)).getKey();
    var waiting = client.getLockClient().lock(text("java/lock"), two);
    List<KeyValue> line;
    do {
      line = get(client.getKVClient().get(text("java/lock/"), GetOption.builder().isPrefix(true).build())).getKvs();
    } while (line.size() < 2);
    check(!waiting.isDone(), "the second waits", waiting);
    get(client.getLockClient().unlock(held));
    get(client.getLockClient().unlock(get(waiting).getKey()));
  }

  private void elections() throws Exception {
    long lease = get(client.getLeaseClient().grant(60)).getID();
    var elections = client.getElectionClient();
    var leader = get(elections.campaign(text("java/election"), lease, text("one"))).getLeader();
    get(elections.proclaim(leader, text("still one")));
    var seen = get(elections.leader(text("java/election"))).getKv();
    check(seen.getValue().equals(text("still one")), "the leader", seen);
    get(elections.resign(leader));
  }

  private void cluster(int members) throws Exception {
    check(get(client.getClusterClient().listMember()).getMembers().size() == members, "members", members);
    check(get(client.getMaintenanceClient().listAlarms()).getAlarms().isEmpty(), "alarms", "some");
  }

  private static ByteSequence text(String text) {
    return ByteSequence.from(text, StandardCharsets.UTF_8);
  }

  private static <T> T get(CompletableFuture<T> answer) throws Exception {
    return answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
  }

  private static void check(boolean holds, String what, Object found) {
    if (!holds) {
      throw new AssertionError(what + ": " + found);
    }
  }
}
