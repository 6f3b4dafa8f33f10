/** change-stor while others work on the same image, or go away: the copy is held back until they are done. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { StorageType } from '../../lib/manifest';
import { assertError, at, FILE as SMALL, sha1, type Answer, type Manifest } from '../support/api';
import { Backends } from '../support/backends';
import type { Registry } from '../support/registry';
import { credentials } from '../support/signed';

const FILE = randomBytes(300_000);
const OTHER_FILE = randomBytes(200_000);
/** Shorter than a copy that is held back, in ms. */
const LIMITS = { headerTimeout: 1000, readTimeout: 1000, writeTimeout: 1000, idleConnection: 1000 };

describe('AdminChangeImageStor meanwhile', () => {
    let backends: Backends;
    let registry: Registry;

    before(async () => {
        backends = await Backends.start();
        registry = await backends.serve({ limits: LIMITS });
    });
    afterEach(() => backends.heal());
    after(async () => {
        await registry.stop();
        await backends.stop();
    });

    const changeTo = (uuid: string, stor: StorageType): Promise<Answer> =>
        registry.client.post(at(uuid, `?action=change-stor&stor=${stor}`), {});

    async function imageIn(stor: StorageType): Promise<Manifest> {
        const { uuid } = await registry.client.create();
        return registry.client.upload(uuid, FILE, `compression=none&storage=${stor}`);
    }

    /** Does something while Manta has not heard of the request that brings or takes the file. */
    async function during<T>(started: () => Promise<T>, work: () => Promise<void>): Promise<T> {
        let release = (): void => undefined;
        const until = new Promise<void>((resolve) => (release = resolve));
        const held = backends.proxies.manta?.inject({
            on: /^(PUT|GET) .*\/file0-/,
            fault: { kind: 'hold', until },
        });
        const answer = started();
        try {
            await held?.hit;
            await work();
        } finally {
            release();
        }
        return answer;
    }

    /** The image can be downloaded, and no other object of it is left anywhere. */
    async function assertFile(uuid: string, stor: StorageType, bytes: Buffer): Promise<void> {
        const record = await registry.record(uuid);
        const [file] = record?.files ?? [];
        assert.deepEqual(
            { stor: file?.stor, sha1: file?.sha1, size: file?.size },
            { stor, sha1: sha1(bytes), size: bytes.length },
        );
        await backends.untilStored(uuid, { [stor]: [file?.object ?? ''] });
        assert.ok((await registry.client.get(at(uuid, '/file'))).body.equals(bytes));
    }

    for (const [from, to] of [
        ['local', 'manta'],
        ['manta', 'local'],
    ] as const) {
        describe(`from ${from} to ${to}`, () => {
            let uuid: string;
            beforeEach(async () => ({ uuid } = await imageIn(from)));

            const changeDuring = (work: () => Promise<void>): Promise<Answer> =>
                during(() => changeTo(uuid, to), work);

            it('does not bring back an image that is deleted', async () => {
                const answer = await changeDuring(async () => {
                    assert.equal((await registry.client.delete(at(uuid))).status, 204);
                });
                assertError(answer, 404, 'ResourceNotFound');
                await backends.untilStored(uuid, {});
                assert.equal(await registry.record(uuid), undefined);
            });

            it('moves the file that took the place of the one it copied', async () => {
                const answer = await changeDuring(async () => {
                    await registry.client.upload(uuid, OTHER_FILE, `compression=gzip&storage=${from}`);
                });
                assert.equal(answer.manifest.files[0]?.sha1, sha1(OTHER_FILE));
                await assertFile(uuid, to, OTHER_FILE);
            });

            it('leaves a file where it is wanted already by an upload', async () => {
                const answer = await changeDuring(async () => {
                    await registry.client.upload(uuid, OTHER_FILE, `compression=gzip&storage=${to}`);
                });
                assert.equal(answer.manifest.files[0]?.sha1, sha1(OTHER_FILE));
                await assertFile(uuid, to, OTHER_FILE);
            });

            it('keeps what an update and the activation change', async () => {
                const answer = await changeDuring(async () => {
                    await registry.client.action(uuid, 'update', { description: 'changed' });
                    await registry.client.action(uuid, 'activate');
                });
                const { description, state } = answer.manifest;
                assert.deepEqual({ description, state }, { description: 'changed', state: 'active' });
                await assertFile(uuid, to, FILE);
            });

            it('moves nothing of an image that gets an icon', async () => {
                const answer = await changeDuring(async () => {
                    const icon = { 'content-type': 'image/png' };
                    const put = await registry.client.put(at(uuid, '/icon?storage=local'), SMALL, icon);
                    assert.equal(put.status, 200);
                });
                assertError(answer, 400, 'NotImplemented');
                const { files, icon } = (await registry.record(uuid)) ?? {};
                const stored: Partial<Record<StorageType, string[]>> = { local: [icon?.object ?? ''] };
                stored[from] = [files?.[0]?.object ?? '', ...(stored[from] ?? [])];
                await backends.untilStored(uuid, stored);
                assert.equal(files?.[0]?.stor, from);
            });

            it('is the same as one that is faster', async () => {
                const answer = await changeDuring(async () => {
                    assert.equal((await changeTo(uuid, to)).status, 200);
                });
                assert.equal(answer.manifest.files[0]?.stor, to);
                await assertFile(uuid, to, FILE);
            });

            it('moves nothing for a client that has gone away', async () => {
                const request = http.request(registry.url + at(uuid, `?action=change-stor&stor=${to}`), {
                    method: 'POST',
                    agent: false,
                    headers: credentials(),
                });
                const gone = new Promise((resolve) => request.once('error', resolve));
                const before = await registry.record(uuid);
                await during(
                    async () => request.end(),
                    async () => {
                        request.destroy();
                        await gone;
                        await registry.server.logged(
                            ({ audit, route, req }) =>
                                audit === true &&
                                route === 'AdminChangeImageStor' &&
                                JSON.stringify(req).includes(uuid),
                        );
                    },
                );
                await assertFile(uuid, from, FILE);
                assert.deepEqual(await registry.record(uuid), before);
                assert.equal((await changeTo(uuid, to)).status, 200);
                await assertFile(uuid, to, FILE);
            });

            it('is not cut off however long it takes', async () => {
                const answer = await changeDuring(() => wait(2 * LIMITS.readTimeout + 500));
                assert.equal(answer.status, 200);
                await assertFile(uuid, to, FILE);
            });
        });
    }

    it('ends where one of many at once wanted it', async () => {
        const { uuid } = await imageIn('local');
        const wanted = ['manta', 'local', 'manta', 'manta', 'local', 'manta'] as const;
        const answers = await Promise.all(wanted.map((stor) => changeTo(uuid, stor)));
        assert.deepEqual(
            answers.map(({ status }) => status),
            wanted.map(() => 200),
        );
        const stor = (await registry.record(uuid))?.files?.[0]?.stor;
        assert.ok(stor === 'local' || stor === 'manta');
        await assertFile(uuid, stor, FILE);
    });
});
