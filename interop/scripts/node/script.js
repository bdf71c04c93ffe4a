// Reads, writes, watches, leases, locks and elections through the etcd3 package; ends with an error when one fails.
// Arguments: the endpoints.
const assert = require("node:assert");
const { Etcd3 } = require("etcd3");

const client = new Etcd3({ hosts: process.argv.slice(2) });

/** The next event of that name. */
const next = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));

async function readAndWrite() {
  await client.delete().prefix("node/");
  await client.put("node/a").value("one");
  assert.strictEqual(await client.get("node/a"), "one");
  await client.put("node/b").value("two");
  assert.deepStrictEqual(await client.getAll().prefix("node/").strings(), { "node/a": "one", "node/b": "two" });
  const sorted = await client.getAll().prefix("node/").sort("Key", "Descend").limit(1).keys();
  assert.deepStrictEqual(sorted, ["node/b"]);
  assert.strictEqual(await client.getAll().prefix("node/").count(), 2);
  assert.strictEqual((await client.delete().key("node/b")).deleted, "1");
  assert.strictEqual(await client.get("node/b"), null);
}

async function transactions() {
  const won = await client.if("node/a", "Value", "==", "one").then(client.put("node/c").value("three")).commit();
  assert(won.succeeded);
  const lost = await client.if("node/a", "Version", ">", 5).else(client.get("node/c")).commit();
  assert(!lost.succeeded);
  assert.strictEqual(lost.responses[0].response_range.kvs[0].value.toString(), "three");
  await client.put("node/count").value("0");
  const add = () =>
    client.stm().transact(async (stm) => {
      const count = await stm.get("node/count").number();
      await stm.put("node/count").value(count + 1);
    });
  await Promise.all([add(), add(), add()]);
  assert.strictEqual(await client.get("node/count").number(), 3);
}

async function watches() {
  const watcher = await client.watch().prefix("node/watched/").withPreviousKV().create();
  const put = next(watcher, "put");
  await client.put("node/watched/x").value("1");
  assert.strictEqual((await put).value.toString(), "1");
  const deleted = next(watcher, "delete");
  await client.delete().key("node/watched/x");
  assert.strictEqual((await deleted).key.toString(), "node/watched/x");
  await watcher.cancel();
  const { header } = await client.put("node/watched/y").value("1");
  const past = await client.watch().key("node/watched/y").startRevision(header.revision).create();
  assert.strictEqual((await next(past, "put")).value.toString(), "1");
  await past.cancel();
}

async function leases() {
  const lease = client.lease(600);
  await lease.put("node/leased").value("x");
  await lease.keepaliveOnce();
  const left = await client.leaseClient.leaseTimeToLive({ ID: await lease.grant(), keys: true });
  assert.strictEqual(left.grantedTTL, "600");
  assert.deepStrictEqual(left.keys.map(String), ["node/leased"]);
  await lease.revoke();
  assert.strictEqual(await client.get("node/leased"), null);
}

async function locksAndElections() {
  let inside = 0;
  const turn = () =>
    client.lock("node/lock").ttl(60).do(async () => {
      assert.strictEqual(++inside, 1, "one at a time");
      await client.get("node/a");
      inside--;
    });
  await turn();
  const held = client.lock("node/lock").ttl(60);
  await held.acquire();
  await assert.rejects(client.lock("node/lock").ttl(60).acquire());
  await held.release();
  await turn();
  const election = client.election("node/election", 60);
  const campaign = election.campaign("one");
  await next(campaign, "elected");
  assert.strictEqual(await election.leader(), "one");
  await campaign.proclaim("still one");
  assert.strictEqual(await election.leader(), "still one");
  await campaign.resign();
  assert.strictEqual(await election.leader(), undefined);
}

async function cluster() {
  const { members } = await client.cluster.memberList({});
  assert.strictEqual(members.length, process.argv.length - 2);
  const status = await client.maintenance.status({});
  assert(status.version && status.leader !== "0");
}

async function main() {
  await readAndWrite();
  await transactions();
  await watches();
  await leases();
  await locksAndElections();
  await cluster();
  await client.delete().prefix("node/");
  client.close();
  console.log("the etcd3 script is through");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
