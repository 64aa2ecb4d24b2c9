// What a program does with the Developer page's JSON API, through a client that
// openapi-fetch makes of the document. The compiler holds every line to it.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Key = components["schemas"]["Key"];

const [base, cookie] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: `${base}/settings/developer/api`, headers: { cookie } });

function check(what: string, right: boolean, seen?: unknown): asserts right {
  if (!right) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

const whoami = async (secret: string) => (await fetch(`${base}/v1/whoami`, { headers: { authorization: `Bearer ${secret}` } })).status;

// A fresh sign-in, which copying a kept secret takes.
await fetch(`${base}/sign-in`, { method: "POST", body: new URLSearchParams({ user: "user_ada" }), redirect: "manual" });

// Options, create, and the same request again.
const options = await client.GET("/options");
check("options", options.data?.formats[0]?.environments.includes("test") === true, options);
const creation = {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { name: "Typed", environment: "test", access: "org-limited" as const, scopes: ["meetings:read"] },
};
const created = await client.POST("/keys", creation);
check("create", created.response.status === 201 && created.data?.secret !== undefined, created);
const key: Key = created.data.key;
const first: string = created.data.secret;
const again = await client.POST("/keys", creation);
check("create again", again.response.status === 200 && again.data?.secret === undefined && again.data?.code === "secret_already_shown" && again.data.key.id === key.id, again);
check("the new key", (await whoami(first)) === 200);

// List page by page, and get.
const names: string[] = [];
let cursor: string | undefined;
do {
  const page = await client.GET("/keys", { params: { query: { limit: 3, status: "all", cursor } } });
  check("list", page.data !== undefined, page);
  check("slots", page.data.slots.max === 10, page.data.slots);
  names.push(...page.data.data.map((k) => k.name));
  cursor = page.data.next ?? undefined;
} while (cursor);
check("names", names.includes("Typed") && names.length > 6, names);
const path = { id: key.id };
const got = await client.GET("/keys/{id}", { params: { path } });
check("get", got.data?.last4 === first.slice(-4) && got.data.status === "active", got);

// Rename and change, on the condition that nobody else did.
const tag = got.response.headers.get("etag") ?? "";
const renamed = await client.PATCH("/keys/{id}", { params: { path, header: { "If-Match": tag } }, body: { name: "Renamed" } });
check("rename", renamed.data?.name === "Renamed", renamed);
const stale = await client.PATCH("/keys/{id}", { params: { path, header: { "If-Match": tag } }, body: { allow: [] } });
check("a stale change", stale.response.status === 412 && stale.error?.code === "precondition_failed", stale);
const changed = await client.PATCH("/keys/{id}", {
  params: { path, header: { "If-Match": renamed.response.headers.get("etag") ?? "" } },
  body: { allow: ["127.0.0.1"], metadata: { team: "crm" }, expires: null },
});
check("change", changed.data?.allow[0] === "127.0.0.1" && changed.data.expires === undefined, changed);

// Rotate, regenerate, reveal.
const rotated = await client.POST("/keys/{id}/rotate", { params: { path }, body: { overlap_seconds: 3600 } });
check("rotate", rotated.data?.predecessor?.id === key.id && rotated.data.secret !== undefined, rotated);
const second = rotated.data.secret;
check("both work", (await whoami(first)) === 200 && (await whoami(second)) === 200);
const successor = { id: rotated.data.key.id };
const regenerated = await client.POST("/keys/{id}/regenerate", { params: { path: successor }, body: {} });
check("regenerate", regenerated.data?.secret !== undefined, regenerated);
const third = regenerated.data.secret;
check("the old secret", (await whoami(second)) === 401 && (await whoami(third)) === 200);
const revealed = await client.POST("/keys/{id}/reveal", { params: { path: successor }, body: {} });
check("reveal", revealed.data?.secret === third, revealed);

// Usage: of the key, and with those that it was rotated from.
for (let tries = 0; ; tries++) {
  const usage = await client.GET("/keys/{id}/usage", { params: { path: successor, query: { range: "1h", of: "lineage" } } });
  check("usage", usage.data?.counted === true && usage.data.series.length === 60, usage);
  if (usage.data.total.requests === 4) {
    check("endpoints", usage.data.endpoints[0]?.pattern === "GET /v1/whoami", usage.data.endpoints);
    break;
  }
  check("usage in time", tries < 100, usage.data.total);
  await new Promise((done) => setTimeout(done, 200));
}

// Revoke, and what the log says.
const revoked = await client.POST("/keys/{id}/revoke", { params: { path: successor }, body: { reason: "tested" } });
check("revoke", revoked.data?.status === "revoked" && revoked.data.revoked_because === "tested", revoked);
check("after it", (await whoami(third)) === 401);
const gone = await client.GET("/keys/{id}", { params: { path: { id: "key_none" } } });
check("no key", gone.error?.code === "key_not_found" && gone.error.request_id !== "", gone);
const actions: string[] = [];
cursor = undefined;
for (let full = true; full; ) {
  const log: { data?: components["schemas"]["EntryPage"] } = await client.GET("/audit", { params: { query: { limit: 5, cursor } } });
  check("audit", log.data !== undefined, log);
  actions.push(...log.data.data.filter((e) => e.target === key.id || e.target === successor.id).map((e) => e.action));
  full = log.data.data.length === 5;
  cursor = log.data.next;
}
check("the log", actions.join() === "key.create,key.rename,key.update,key.rotate,key.create,key.regenerate,key.reveal,key.revoke", actions);
const exported = await client.GET("/audit/export", { parseAs: "text" });
check("export", exported.data?.trim().split("\n").every((line) => JSON.parse(line).position > 0) === true, exported);
const many = await client.POST("/keys/revoke", { body: { created_before: new Date(Date.now() - 86_400_000 * 150).toISOString(), reason: "old" } });
check("revoke many", many.data !== undefined && many.data.revoked >= 1, many);

// Apps and what people let them do.
const app = await client.POST("/apps", { body: { name: "Sheets", redirect_uris: ["https://sheets.example/back"], scopes: ["meetings:read"] } });
check("register", app.response.status === 201 && app.data?.client_secret !== undefined, app);
const client_id = { id: app.data.app.client_id };
const renewed = await client.POST("/apps/{id}/secret", { params: { path: client_id }, body: { overlap_seconds: 60 } });
check("a new secret", renewed.data?.app.secrets.length === 2, renewed);
const app2 = await client.PATCH("/apps/{id}", { params: { path: client_id, header: { "If-Match": "*" } }, body: { name: "Tables" } });
check("change an app", app2.data?.name === "Tables", app2);
check("revoke an app", (await client.POST("/apps/{id}/revoke", { params: { path: client_id }, body: {} })).data?.client_id === client_id.id);
const grants = await client.GET("/grants", { params: { query: { user: "me" } } });
check("grants", grants.data !== undefined && grants.data.data.length > 0, grants);
const ended = await client.POST("/grants/revoke", { body: { user: "me", client_id: grants.data.data[0]!.client_id } });
check("end a grant", ended.data !== undefined && ended.data.revoked > 0, ended);
check("apps", (await client.GET("/apps", { params: { query: { status: "all" } } })).data?.data.some((a) => a.name === "Tables") === true);
check("blocks", (await client.GET("/blocks")).data?.data.length === 1);
console.log("done");
