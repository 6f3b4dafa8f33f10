/** A server for API tests: its callers, a look into its folders and records, and a last check of the route table. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { Database } from '../../lib/db/driver';
import { openDatabase } from '../../lib/db/index';
import type { ErrorCode } from '../../lib/errors';
import type { JobRow } from '../../lib/jobs/value';
import type { RawImage } from '../../lib/manifest';
import { routes } from '../../lib/routes';
import { Client, FILE, ICON, md5, sha1 } from './api';
import { testImage } from './images';
import { makeKey, signedHeaders, type TestKey } from './keys';
import { quietLog } from './local-database';
import { TestServer, type LogRecord, type ServerOptions } from './server';

let keys: readonly [TestKey, TestKey] | undefined;

/** Two RSA keys, made once for all tests of the process. */
export function testKeys(): readonly [TestKey, TestKey] {
    if (!keys) {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        try {
            keys = [makeKey(folder, 'one'), makeKey(folder, 'two')];
        } finally {
            rmSync(folder, { recursive: true });
        }
    }
    return keys;
}

/** The keys that a server in mode dc needs; nothing listens there. */
export const DATACENTER = {
    mode: 'dc',
    datacenterName: 'test',
    ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'secret-of-ufds' },
} as const;

/** Codes that every route can answer with. */
export const GENERAL_CODES: readonly ErrorCode[] = [
    'NotAcceptable',
    'InvalidVersion',
    'BadRequestError',
    'RequestHeaderFieldsTooLarge',
];

/** Errors of requests that did reach a route, from the audit records: `Route: Code`. */
function answeredErrors(log: readonly LogRecord[]): { route: string; code: ErrorCode }[] {
    return log.flatMap((record) => {
        const { route, req, res } = record as {
            route?: string;
            req?: { query?: { error?: unknown } };
            res?: { body?: { code?: ErrorCode } };
        };
        const code = res?.body?.code;
        const isSample = route === 'Ping' && req?.query?.error !== undefined;
        return record.audit === true && route !== undefined && code !== undefined && !isSample
            ? [{ route, code }]
            : [];
    });
}

/** Every error that a route answered with must be one that its row of the table lists. */
export function assertTableHonest(log: readonly LogRecord[]): void {
    const unlisted = answeredErrors(log)
        .filter(({ route, code }) => {
            const row = routes.find(({ name }) => name === route);
            return !row?.errors.includes(code) && !GENERAL_CODES.includes(code);
        })
        .map(({ route, code }) => `${route}: ${code}`);
    assert.deepEqual([...new Set(unlisted)], [], 'errors that the route table does not list');
}

/** A server with `authType: signature` whose user is alice, unless the configuration says otherwise. */
export class Registry {
    readonly url: string;
    readonly dataDir: string;
    /** Signs its requests. */
    readonly client: Client;
    readonly anonymous: Client;
    readonly #database: Database;
    /** How many images {@link plantImage} has made. */
    #images = 0;
    readonly #signed = new Map<string, { date: string; authorization: string }>();

    private constructor(
        readonly server: TestServer,
        database: Database,
    ) {
        this.url = server.url;
        this.dataDir = server.dataDir;
        this.#database = database;
        this.client = new Client(this.url, () => signedHeaders('alice', testKeys()[0]));
        this.anonymous = new Client(this.url);
    }

    /** Signs as another user who has the first of {@link testKeys}; requests of one second have one signature. */
    as(user: string): Client {
        return new Client(this.url, () => {
            const date = new Date();
            const known = this.#signed.get(user);
            const signed =
                known?.date === date.toUTCString() ? known : signedHeaders(user, testKeys()[0], { date });
            this.#signed.set(user, signed);
            return { ...signed };
        });
    }

    /** @param options such as a data folder to use, which is kept; by default a new one */
    static async start(
        config: Record<string, unknown> = {},
        options: Omit<ServerOptions, 'config'> = {},
    ): Promise<Registry> {
        const [key] = testKeys();
        const server = await TestServer.start({
            ...options,
            config: { authType: 'signature', authKeys: { alice: [key.publicLine] }, ...config },
        });
        const { dataDir } = server;
        const clock = { now: () => Date.now(), uuid: randomUUID };
        const settings = { databaseType: 'local' as const, databaseDir: dataDir, dataDir };
        const database = await openDatabase({ ...settings, ...server.database }, quietLog, clock);
        return new Registry(server, database);
    }

    /** Stops the server; proves that it ended well and answered nothing that its table does not list. */
    async stop(): Promise<void> {
        await this.#database.close();
        const outputEnded = once(this.server.child, 'close');
        const code = await this.server.stop();
        await outputEnded;
        assert.equal(code, 0, 'the server ended as it was asked to');
        assertTableHonest(this.server.log);
        const faults = this.server.log.filter(({ msg }) => msg === 'a request failed in a way it should not');
        assert.deepEqual(faults, [], 'faults of the server');
    }

    /** Puts records into the database, past all rules of the API. */
    async plant(...raws: RawImage[]): Promise<void> {
        await this.#database.images.commit({ put: raws.map((raw) => ({ raw })) });
    }

    /** Puts an image with a file and an icon into a server; an active one, unless the fields say otherwise. */
    async plantImage(fields: Partial<RawImage> = {}): Promise<RawImage> {
        const stored = { sha1: sha1(FILE), size: FILE.length, contentMD5: md5(FILE), stor: 'local' as const };
        const icon = { contentType: 'image/png', contentMD5: md5(ICON), sha1: sha1(ICON), size: ICON.length };
        const raw = testImage(++this.#images, {
            files: [{ ...stored, compression: 'none' }],
            icon: { ...icon, stor: 'local' },
            ...fields,
        });
        await this.plant(raw);
        await this.plantObject(raw.uuid, 'file0', FILE);
        await this.plantObject(raw.uuid, 'icon', ICON);
        return raw;
    }

    /** Puts jobs into the database; no server runs one of a kind it does not know. */
    async plantJobs(...rows: JobRow[]): Promise<void> {
        for (const row of rows) {
            await this.#database.jobs.put(row, null);
        }
    }

    /** Puts a stored object into an image's folder. */
    async plantObject(uuid: string, name: string, bytes: Buffer): Promise<void> {
        await mkdir(this.#folder(uuid), { recursive: true });
        await writeFile(join(this.#folder(uuid), name), bytes);
    }

    /** Takes a stored object away, as a fault of the disk would. */
    async unlinkObject(uuid: string, name: string): Promise<void> {
        await unlink(join(this.#folder(uuid), name));
    }

    /** The raw record; undefined if there is none. */
    async record(uuid: string): Promise<RawImage | undefined> {
        return (await this.#database.images.get(uuid))?.raw;
    }

    /** Names of what is stored for an image, unfinished uploads included. */
    async stored(uuid: string): Promise<string[]> {
        try {
            return (await readdir(this.#folder(uuid))).sort();
        } catch (err) {
            assert.equal((err as NodeJS.ErrnoException).code, 'ENOENT');
            return [];
        }
    }

    /** Waits until nothing but these names is stored for an image: what a broken upload left goes away by itself. */
    async untilStored(uuid: string, names: readonly string[]): Promise<void> {
        const deadline = Date.now() + 5000;
        let stored = await this.stored(uuid);
        while (Date.now() < deadline && stored.join() !== names.join()) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            stored = await this.stored(uuid);
        }
        // Not looked at once more: what comes and goes is not what was waited for.
        assert.deepEqual(stored, names);
    }

    /** The image's record and folder, to compare before and after. */
    async snapshot(uuid: string): Promise<{ record: RawImage | undefined; stored: string[] }> {
        return { record: await this.record(uuid), stored: await this.stored(uuid) };
    }

    #folder(uuid: string): string {
        return join(this.dataDir, 'images', uuid.slice(0, 3), uuid);
    }
}
