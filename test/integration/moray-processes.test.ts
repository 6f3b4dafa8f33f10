/** Several servers on one database in Moray's layout, and that database out of reach. */
import assert from 'node:assert/strict';
import { at, Client, type Answer } from '../support/api';
import { Postgres } from '../support/postgresql';
import { TestServer, type ServerOptions } from '../support/server';

const OTHER_OWNER = '11111111-2222-4333-8444-555555555555';

describe('Servers on PostgreSQL', () => {
    let postgres: Postgres;
    const servers: TestServer[] = [];

    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => postgres.stop());
    afterEach(async () => {
        await Promise.all(servers.splice(0).map((server) => server.stop()));
    });

    async function start(moray: unknown, options: ServerOptions = {}): Promise<TestServer> {
        const server = await TestServer.start({ ...options, config: { databaseType: 'moray', moray } });
        servers.push(server);
        return server;
    }

    async function startTwo(): Promise<[Client, Client]> {
        const moray = await postgres.makeDatabase();
        const [a, b] = await Promise.all([start(moray), start(moray)]);
        return [new Client(a.url), new Client(b.url)];
    }

    it('lose none of 100 updates at once of different fields', async () => {
        const clients = await startTwo();
        const { uuid } = await clients[0].create();
        const fields: Record<string, (n: number) => unknown> = {
            description: (n) => `description ${n}`,
            homepage: (n) => `https://example.com/${n}`,
            eula: (n) => `https://example.com/eula/${n}`,
            tags: (n) => ({ n }),
            users: (n) => [{ name: `user${n}` }],
            requirements: (n) => ({ min_ram: n }),
            inherited_directories: (n) => [`/opt/${n}`],
            name: (n) => `name-${n}`,
            version: (n) => `1.0.${n}`,
            generate_passwords: (n) => n % 2 === 0,
        };
        const names = Object.keys(fields);
        const updates = Array.from({ length: 100 }, (_, n) => {
            const name = names[n % names.length] ?? '';
            return { [name]: fields[name]?.(n) };
        });
        const answers = await Promise.all(
            updates.map((body, n) => clients[n % 2 ? 1 : 0].action(uuid, 'update', body)),
        );
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
        const [manifest, other] = await Promise.all(
            clients.map(async (client) => (await client.get(at(uuid))).manifest),
        );
        assert.deepEqual(manifest, other);
        for (const name of names) {
            const possible = updates.filter((body) => name in body).map((body) => JSON.stringify(body[name]));
            assert.ok(possible.includes(JSON.stringify(manifest?.[name])), name);
        }
    });

    it('see at once what the other has written, deleted, or listed', async () => {
        const [a, b] = await startTwo();
        for (let round = 0; round < 20; round++) {
            const { uuid } = await a.create({ name: `round-${round}` });
            assert.equal((await b.get(at(uuid))).manifest.name, `round-${round}`);
            await b.action(uuid, 'update', { name: 'changed' });
            assert.equal((await a.get(at(uuid))).manifest.name, 'changed');
            await b.upload(uuid);
            await a.action(uuid, 'activate');
            assert.deepEqual((await b.get('/images')).uuids, [uuid]);
            assert.equal((await b.delete(at(uuid))).status, 204);
            assert.equal((await a.get(at(uuid))).status, 404);
            assert.deepEqual((await a.get('/images')).uuids, []);
        }
    });

    it('give a list that they have given before until one of its images is another', async () => {
        const [a, b] = await startTwo();
        const { uuid, owner } = await a.createActive({ name: 'first' });
        const path = `/images?owner=${owner}`;
        let known = await a.get(path);
        const changes: (() => Promise<unknown>)[] = [
            () => b.action(uuid, 'update', { name: 'changed' }),
            () => b.createActive({ owner }),
            () => b.action(uuid, 'disable'),
            () => b.action(uuid, 'enable'),
            () => b.delete(at(uuid)),
        ];
        for (const change of changes) {
            const etag = String(known.headers.etag);
            await b.createActive({ owner: OTHER_OWNER });
            assert.equal((await a.get(path, { 'If-None-Match': etag })).status, 304);
            const again = await a.get(path);
            assert.deepEqual([again.text, again.headers.etag], [known.text, etag]);
            await change();
            known = await a.get(path, { 'If-None-Match': etag });
            assert.equal(known.status, 200);
            assert.deepEqual(known.uuids, (await b.get(path)).uuids);
            assert.equal(known.text, (await b.get(path)).text);
        }
    });

    it('decide together which of two changes comes about: a new image on an origin, or the end of the origin', async () => {
        const [a, b] = await startTwo();
        for (let round = 0; round < 10; round++) {
            const origin = await a.createActive();
            const [created, deleted] = await Promise.all([
                a.post('/images', {
                    name: 'n',
                    version: '1',
                    type: 'zone-dataset',
                    os: 'smartos',
                    public: true,
                    owner: origin.owner,
                    origin: origin.uuid,
                }),
                b.delete(at(origin.uuid)),
            ]);
            const outcome = `${created.status} ${deleted.status}`;
            assert.ok(['200 422', '422 204'].includes(outcome), outcome);
        }
    });

    function isUnavailable(answer: Answer): void {
        assert.equal(answer.status, 503, answer.text);
        assert.equal(answer.error.code, 'ServiceUnavailableError');
    }

    /** Asks until the answer is 200; the server looks for its database by itself. */
    async function untilServed(client: Client, path: string): Promise<Answer> {
        for (;;) {
            const answer = await client.get(path);
            if (answer.status === 200) {
                return answer;
            }
            isUnavailable(answer);
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }

    it('start without their database, and serve once it is there', async () => {
        const moray = postgres.configOf([postgres], { database: 'not_yet' });
        const server = await start(moray);
        const client = new Client(server.url);
        isUnavailable(await client.get('/images'));
        isUnavailable(await client.get(at('00000000-1111-4222-8333-444444444444')));
        isUnavailable(
            await client.post('/images', {
                name: 'n',
                version: '1',
                type: 'zone-dataset',
                os: 'smartos',
                public: true,
                owner: '930896af-bf8c-48d4-885c-6573a94b1853',
            }),
        );
        assert.equal((await client.get('/ping')).status, 200);
        const { msg } = await server.logged(
            ({ level, msg }) => level >= 40 && msg.includes('there is no such database'),
        );
        assert.match(msg, /see database in config\.moray\.pg/);
        await postgres.sql('CREATE DATABASE not_yet OWNER moray TEMPLATE template0', [], 'postgres');
        assert.deepEqual((await untilServed(client, '/images')).manifests, []);
        await client.create();
    });

    it('say what to do where their role may not create tables, or the password is wrong', async () => {
        await postgres.sql("CREATE ROLE reader LOGIN PASSWORD 'secret-of-reader'", [], 'postgres');
        const made = await postgres.makeDatabase();
        const as = (user: string, password: string) => ({ pg: { ...made.pg, user, password } });
        const reader = await start(as('reader', 'secret-of-reader'));
        isUnavailable(await new Client(reader.url).get('/images'));
        await reader.logged(({ level, msg }) => level >= 40 && msg.includes('grant it CREATE on the schema'));
        const stranger = await start(as('moray', 'wrong'));
        isUnavailable(await new Client(stranger.url).get('/images'));
        await stranger.logged(({ level, msg }) => level >= 40 && msg.includes('refuses the password'));
        await postgres.sql('GRANT CREATE ON SCHEMA public TO reader', [], made.pg?.database);
        assert.deepEqual((await untilServed(new Client(reader.url), '/images')).manifests, []);
    });

    it('answer 503 while the database is down, and serve again without a restart', async () => {
        const server = await start(postgres.config);
        const client = new Client(server.url);
        const { uuid } = await client.create();
        await postgres.kill();
        isUnavailable(await client.get(at(uuid)));
        isUnavailable(await client.get('/images'));
        isUnavailable(await client.action(uuid, 'update', { name: 'not-now' }));
        isUnavailable(await client.delete(at(uuid)));
        await postgres.restart();
        assert.equal((await untilServed(client, at(uuid))).manifest.name, 'base');
        assert.equal((await client.action(uuid, 'update', { name: 'again' })).manifest.name, 'again');
    });
});
