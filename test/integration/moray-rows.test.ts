/** What Moray has written is served, and what this server writes is what Moray would read (moray.md §2, §5, §6). */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { assertError, at, Client, OWNER, STRANGER } from '../support/api';
import { etagOf, formerRecord, MorayTables, type Make } from '../support/moray-rows';
import { Postgres } from '../support/postgresql';
import { TestServer } from '../support/server';

const MAKES: Record<string, Make> = {
    'as Moray makes it': {},
    'with the columns of later versions of Moray': {
        later: true,
        version: 3,
        reindexActive: '{"3":["os","type"]}',
    },
    'as it was before there were placeholders': {
        id: 'INTEGER',
        without: ['expires_at', 'published_at', 'os', 'type'],
        reindexActive: '{}',
    },
};

describe("PostgreSQL with Moray's own rows", () => {
    let postgres: Postgres;
    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => postgres.stop());

    for (const [name, make] of Object.entries(MAKES)) {
        describe(`a bucket ${name}`, () => {
            let tables: MorayTables;
            let server: TestServer;
            let client: Client;
            let shape: unknown;

            const first = formerRecord({ name: 'first', published_at: '2013-01-01T00:00:00Z' });
            const last = formerRecord({
                name: 'last',
                os: 'linux',
                type: 'lx-dataset',
                tags: ['role=web', 'x='],
            });
            // As it came from the directory in which images were kept before.
            const old = formerRecord({
                name: 'old',
                published_at: '2014-01-01T00:00:00.000Z',
                public: 'true',
                disabled: 'false',
                activated: 'true',
                acl: STRANGER,
                billing_tags: 'xl',
                tagsObj: undefined,
                legacy: { dn: 'image=1' },
            });
            const placeholder = formerRecord({
                name: 'placeholder',
                state: 'creating',
                activated: false,
                published_at: undefined,
                expires_at: '2999-01-01T00:00:00.000Z',
                files: [],
            });
            const noJson = randomUUID();
            const mixedUp = randomUUID();

            before(async () => {
                tables = await MorayTables.make(postgres, make);
                for (const value of [last, first, old, placeholder]) {
                    await tables.insert({ value });
                }
                await tables.insert({ value: formerRecord({ uuid: noJson }), text: '{"uuid":' });
                await tables.insert({
                    value: formerRecord({ uuid: mixedUp }),
                    columns: { uuid: randomUUID() },
                });
                shape = await tables.shape();
                server = await TestServer.start({
                    config: { databaseType: 'moray', moray: tables.config, mode: 'dc', ...DATACENTER },
                });
                client = new Client(server.url);
            });
            after(async () => {
                await server.stop();
            });

            const names = async (query: string) =>
                (await client.get(`/images?${query}`)).manifests.map((manifest) => manifest.name);

            it('is served', async () => {
                assert.deepEqual(await names(''), ['first', 'old', 'last']);
                assert.deepEqual(await names('sort=published_at.desc'), ['last', 'old', 'first']);
                assert.deepEqual(await names('state=all&limit=2'), ['placeholder', 'first']);
                assert.deepEqual(await names('os=linux'), ['last']);
                assert.deepEqual(await names('type=!lx-dataset'), ['first', 'old']);
                assert.deepEqual(await names('tag.role=web&tag.x='), ['last']);
                assert.deepEqual(await names('billing_tag=xl'), ['old']);
                assert.deepEqual(await names(`marker=${old.uuid}`), ['old', 'last']);
                assert.deepEqual(await names('state=creating'), ['placeholder']);
                const { manifest } = await client.get(at(old.uuid));
                assert.deepEqual(
                    {
                        acl: manifest.acl,
                        public: manifest.public,
                        tags: manifest.tags,
                        billing: manifest.billing_tags,
                    },
                    { acl: [STRANGER], public: true, tags: { role: 'db' }, billing: ['xl'] },
                );
            });

            it('has records that cannot be read: they are named in the log and not served', async () => {
                for (const uuid of [noJson, mixedUp]) {
                    assert.equal((await client.get(at(uuid))).status, 404);
                    await server.logged(
                        ({ level, image_uuid: image, msg }) =>
                            level === 40 && image === uuid && msg.includes('imgapi_images'),
                    );
                }
            });

            it('shows what was changed in columns alone, as Moray updates objects', async () => {
                await tables.sql(
                    "UPDATE imgapi_images SET owner = $2, _etag = 'u1234567', _mtime = _mtime + 1 WHERE _key = $1",
                    [first.uuid, STRANGER],
                );
                assert.equal((await client.get(at(first.uuid))).manifest.owner, STRANGER);
                assert.deepEqual(await names(`owner=${STRANGER}`), ['first']);
                await tables.sql("UPDATE imgapi_images SET owner = $2, _etag = 'u1234568' WHERE _key = $1", [
                    first.uuid,
                    OWNER,
                ]);
                assert.equal((await client.get(at(first.uuid))).manifest.owner, OWNER);
            });

            it('takes no value that is too long for an index, and says which', async () => {
                for (const bytes of [3000, 30_000]) {
                    const tags = { [randomBytes(bytes).toString('base64')]: true };
                    assertError(
                        await client.action(first.uuid, 'update', { tags }),
                        422,
                        'ValidationFailed',
                        'tags:Invalid',
                    );
                }
            });

            it('is written as Moray would', async () => {
                const changes = {
                    description: 'é 日',
                    tags: { role: 'a,"b"\\{}', empty: '' },
                    acl: [STRANGER, OWNER],
                    billing_tags: ['NULL', ' x '],
                };
                const answer = await client.action(old.uuid, 'update', changes);
                assert.equal(answer.status, 200, answer.text);
                const row = (await tables.row(old.uuid)) ?? {};
                const value = JSON.parse(String(row._value)) as Record<string, unknown>;
                assert.equal(row._etag, etagOf(String(row._value)));
                assert.ok(Math.abs(Number(row._mtime) - Date.now()) < 60_000);
                assert.deepEqual(value.legacy, { dn: 'image=1' });
                assert.deepEqual(value.tagsObj, changes.tags);
                assert.equal(value.description, changes.description);
                assert.deepEqual(
                    [row.uuid, row.name, row.state, row.activated, row.public, row.urn],
                    [old.uuid, 'old', 'active', true, true, old.urn],
                );
                assert.deepEqual(row.tags, ['role=a,"b"\\{}', 'empty=']);
                assert.deepEqual(row.acl, changes.acl);
                assert.deepEqual(row.billing_tags, changes.billing_tags);
                assert.equal(row.origin, null);
                assert.equal(row._vnode, null);
                for (const column of ['os', 'type', 'published_at'] as const) {
                    assert.equal(row[column], make.without?.includes(column) ? undefined : old[column]);
                }
                assert.equal(row._rver, make.later ? make.version : undefined);

                const uuid = randomUUID();
                const imported = await client.action(uuid, 'import&skip_owner_check=true', { ...NEW, uuid });
                assert.equal(imported.status, 200, imported.text);
                const fresh = (await tables.row(uuid)) ?? {};
                assert.equal(fresh._etag, etagOf(String(fresh._value)));
                assert.ok(Number(fresh._id) > 0);
                assert.equal(fresh.activated, false);
                assert.equal((await client.delete(at(uuid))).status, 204);
                assert.equal(await tables.row(uuid), undefined);
            });

            it('keeps its shape', async () => {
                assert.deepEqual(await tables.shape(), shape);
            });
        });
    }

    it('is refused in an encoding that lacks characters, and the log says what to do', async () => {
        const moray = await postgres.makeDatabase("ENCODING 'LATIN1'");
        const server = await TestServer.start({ config: { databaseType: 'moray', moray } });
        try {
            assert.equal((await new Client(server.url).get('/images')).status, 503);
            await server.logged(({ level, msg }) => level === 40 && msg.includes("ENCODING 'UTF8'"));
        } finally {
            await server.stop();
        }
    });
});

/** Nothing answers there; no test asks. */
const DATACENTER = {
    datacenterName: 'test',
    ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'secret-of-ufds' },
};

const NEW = {
    v: 2,
    name: 'made-here',
    version: '1',
    type: 'zone-dataset',
    os: 'smartos',
    public: true,
    owner: OWNER,
};
