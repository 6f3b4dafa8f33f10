/** Reading, committing and counting images. */
import assert from 'node:assert/strict';
import { DependencyConflict, EtagConflict, ImageNotFound, UniqueConflict } from '../../lib/db/driver';
import type { RawImage } from '../../lib/manifest';
import { testImage, testUuid, without } from '../support/images';
import type { Subject } from './db';

export function describeImages(subject: Subject): void {
    const images = () => subject.database.images;

    describe('images: get and commit', () => {
        it('gives back the record that was written, unknown keys and all', async () => {
            const raw = testImage(1, {
                legacy: { dn: 'x' },
                description: 'é日\u0000\ud83d\ude00',
                error: null,
            });
            const [written] = await images().commit({ put: [{ raw, etag: null }] });
            const found = await images().get(raw.uuid);
            assert.deepEqual(found?.raw, raw);
            assert.equal(found.uuid, raw.uuid);
            assert.equal(found.size, JSON.stringify(raw).length);
            assert.equal(found.etag, written?.etag);
            assert.equal(found.mtime, written?.mtime);
            assert.match(found.etag, /^.{8}$/);
        });

        it('keeps what was written when the caller goes on to change its object', async () => {
            const raw = testImage(1);
            const [written] = await images().commit({ put: [{ raw }] });
            raw.name = 'changed-later';
            assert.equal(written?.raw.name, 'image-1');
        });

        it('gives undefined for an unknown image', async () => {
            assert.equal(await images().get(testUuid(1)), undefined);
        });

        it('takes records of old servers: no acl, no tagsObj, a single string for a list', async () => {
            const old = without(
                testImage(1, {
                    tags: ['a=b'],
                    billing_tags: 'xl' as unknown as string[],
                }),
                'acl',
            );
            await images().commit({ put: [{ raw: old }] });
            const found = await images().query({
                anyOf: [{ billingTags: ['xl'], tagKeys: ['a'] }],
                order: 'asc',
                limit: 5,
            });
            assert.deepEqual(
                found.map((image) => image.raw),
                [old],
            );
        });

        it('keeps texts that no database can hold as they are, also where they are searched for', async () => {
            const tags = ['\ud800=1', '\ud801=1', '\ufffd=1', 'a\0=1', 'a\ufffd=1'];
            const raw = testImage(1, { tags, billing_tags: tags });
            await images().commit({ put: [{ raw }] });
            assert.deepEqual((await images().get(raw.uuid))?.raw, raw);
            await images().commit({ put: [{ raw: { ...raw, tags: tags.slice(1), billing_tags: [] } }] });
            const left = await images().query({ anyOf: [{ tagKeys: ['a\ufffd'] }], order: 'asc', limit: 5 });
            assert.equal(left.length, 1);
            await images().commit({ delete: [{ uuid: raw.uuid }] });
        });

        it('changes the etag with the content, and only then', async () => {
            const [first] = await images().commit({ put: [{ raw: testImage(1) }] });
            const [same] = await images().commit({ put: [{ raw: testImage(1) }] });
            const [other] = await images().commit({ put: [{ raw: testImage(1, { name: 'other' }) }] });
            assert.equal(same?.etag, first?.etag);
            assert.notEqual(other?.etag, first?.etag);
        });

        it('answers queries by the new content after an update', async () => {
            await images().commit({
                put: [{ raw: testImage(1, { name: 'before', tags: ['a=1'], acl: [testUuid(5)] }) }],
            });
            await images().commit({
                put: [
                    {
                        raw: testImage(1, {
                            name: 'after-it',
                            tags: ['a=2'],
                            published_at: '2020-01-01T00:00:00Z',
                        }),
                    },
                ],
            });
            const count = async (filter: object) =>
                (await images().query({ anyOf: [filter], order: 'asc', limit: 9 })).length;
            assert.equal(await count({ name: { contains: 'before' } }), 0);
            assert.equal(await count({ name: { contains: 'after' } }), 1);
            assert.equal(await count({ tags: ['a=1'] }), 0);
            assert.equal(await count({ tags: ['a=2'] }), 1);
            assert.equal(await count({ tagKeys: ['a'] }), 1);
            assert.equal(await count({ acl: testUuid(5) }), 0);
        });
    });

    describe('images: conflicts', () => {
        it('refuses a put whose etag is not the stored one, and lets the right one through', async () => {
            const [first] = await images().commit({ put: [{ raw: testImage(1), etag: null }] });
            await images().commit({ put: [{ raw: testImage(1, { name: 'b' }), etag: first!.etag }] });
            await assert.rejects(
                images().commit({ put: [{ raw: testImage(1, { name: 'c' }), etag: first!.etag }] }),
                EtagConflict,
            );
            assert.equal((await images().get(testUuid(1)))?.raw.name, 'b');
        });

        it('refuses a put that expects no record, and one that expects a record that is not there', async () => {
            await images().commit({ put: [{ raw: testImage(1) }] });
            await assert.rejects(images().commit({ put: [{ raw: testImage(1), etag: null }] }), EtagConflict);
            await assert.rejects(
                images().commit({ put: [{ raw: testImage(2), etag: 'AAAAAAAA' }] }),
                EtagConflict,
            );
        });

        it('refuses a second image with the same urn, by its attribute and value', async () => {
            await images().commit({ put: [{ raw: testImage(1, { urn: 'a:b:c:d' }) }] });
            await assert.rejects(
                images().commit({ put: [{ raw: testImage(2, { urn: 'a:b:c:d' }) }] }),
                (error) =>
                    error instanceof UniqueConflict && error.attribute === 'urn' && error.value === 'a:b:c:d',
            );
            await images().commit({ put: [{ raw: testImage(1, { urn: 'a:b:c:d', name: 'same-image' }) }] });
        });

        it('refuses to delete what is not there or has changed', async () => {
            await assert.rejects(images().commit({ delete: [{ uuid: testUuid(1) }] }), ImageNotFound);
            await images().commit({ put: [{ raw: testImage(1) }] });
            await assert.rejects(
                images().commit({ delete: [{ uuid: testUuid(1), etag: 'AAAAAAAA' }] }),
                EtagConflict,
            );
            assert.ok(await images().get(testUuid(1)));
        });

        it('changes nothing at all when one part of a change fails', async () => {
            await images().commit({ put: [{ raw: testImage(1) }, { raw: testImage(2) }] });
            const before = images().generation();
            await assert.rejects(
                images().commit({
                    delete: [{ uuid: testUuid(1) }],
                    put: [{ raw: testImage(3) }, { raw: testImage(2), etag: null }],
                    drop: [{ id: testUuid(70), image: testUuid(1), storage: 'local', key: 'images/x/file0' }],
                }),
                EtagConflict,
            );
            assert.ok(await images().get(testUuid(1)));
            assert.equal(await images().get(testUuid(3)), undefined);
            assert.equal(await subject.database.pending.has('local', 'images/x/file0'), false);
            assert.equal(images().generation(), before);
        });

        it('lets exactly one of many writers win who read the same version', async () => {
            const [first] = await images().commit({ put: [{ raw: testImage(1) }] });
            const other = await subject.another();
            const writes = Array.from({ length: 10 }, (_, at) =>
                (at % 2 ? other : subject.database).images.commit({
                    put: [{ raw: testImage(1, { name: `writer-${at}` }), etag: first!.etag }],
                }),
            );
            const results = await Promise.allSettled(writes);
            assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
        });

        it('moves an image to another uuid in one change, urn included', async () => {
            await images().commit({ put: [{ raw: testImage(1, { urn: 'u:r:n:1' }) }] });
            await images().commit({
                delete: [{ uuid: testUuid(1) }],
                put: [{ raw: testImage(2, { urn: 'u:r:n:1' }), etag: null }],
            });
            assert.equal(await images().get(testUuid(1)), undefined);
            assert.equal((await images().get(testUuid(2)))?.raw.urn, 'u:r:n:1');
        });
    });

    describe('images: dependents, placeholders, counts, generation', () => {
        it('counts the images of an origin and names the first by uuid', async () => {
            const origin = testUuid(50);
            const put: RawImage[] = [3, 1, 2].map((n) =>
                testImage(n, { origin, channels: n === 2 ? ['dev'] : ['release'] }),
            );
            await images().commit({ put: [...put, testImage(4)].map((raw) => ({ raw })) });
            assert.deepEqual(await images().dependents(origin, { first: 2 }), {
                count: 3,
                uuids: [testUuid(1), testUuid(2)],
            });
            assert.deepEqual(await images().dependents(origin, { first: 5, channel: 'dev' }), {
                count: 1,
                uuids: [testUuid(2)],
            });
            assert.deepEqual(await images().dependents(testUuid(1), { first: 5 }), { count: 0, uuids: [] });
        });

        it('writes an image on an origin only while that is there', async () => {
            const [origin, child] = [testImage(1), testImage(2, { origin: testUuid(1) })];
            const write = () => images().commit({ put: [{ raw: child }], requires: [origin.uuid] });
            await assert.rejects(write(), DependencyConflict);
            assert.equal(await images().get(child.uuid), undefined);
            await images().commit({ put: [{ raw: origin }] });
            await write();
            assert.ok(await images().get(child.uuid));
        });

        it('writes what is made from an image only while that is the same', async () => {
            const [source, copy] = [testImage(1), testImage(2)];
            const from = (etag: string) =>
                images().commit({ put: [{ raw: copy }], unchanged: [{ uuid: source.uuid, etag }] });
            await assert.rejects(from('00000000'), EtagConflict);
            const [first] = await images().commit({ put: [{ raw: source }] });
            const [second] = await images().commit({ put: [{ raw: { ...source, name: 'changed' } }] });
            await assert.rejects(from(first!.etag), EtagConflict);
            assert.equal(await images().get(copy.uuid), undefined);
            await from(second!.etag);
            assert.ok(await images().get(copy.uuid));
        });

        it('deletes an image only while nothing is built on it', async () => {
            const [origin, child] = [testImage(1), testImage(2, { origin: testUuid(1), channels: ['dev'] })];
            await images().commit({ put: [{ raw: origin }, { raw: child }] });
            const remove = (channel?: string) =>
                images().commit({
                    delete: [{ uuid: origin.uuid }],
                    withoutDependents: [{ uuid: origin.uuid, channel }],
                });
            await assert.rejects(remove(), DependencyConflict);
            await assert.rejects(remove('dev'), DependencyConflict);
            assert.ok(await images().get(origin.uuid));
            await remove('release');
            assert.equal(await images().get(origin.uuid), undefined);
        });

        it('finds placeholders that have expired, and nothing else', async () => {
            const now = '2020-01-01T00:00:00.000Z';
            const later = '2020-01-01T00:00:00.001Z';
            const put = [
                testImage(1, { state: 'creating', expires_at: now }),
                testImage(2, { state: 'failed', expires_at: '2019-01-01T00:00:00.000Z' }),
                testImage(3, { state: 'creating', expires_at: later }),
                testImage(4, { state: 'active', expires_at: now }),
                testImage(5, { state: 'creating' }),
            ];
            await images().commit({ put: put.map((raw) => ({ raw })) });
            const found = await images().expired(now, 10);
            assert.deepEqual(found.map((image) => image.uuid).sort(), [testUuid(1), testUuid(2)]);
            assert.equal((await images().expired(now, 1)).length, 1);
        });

        it('counts images by state', async () => {
            await images().commit({
                put: [testImage(1), testImage(2), testImage(3, { state: 'creating' })].map((raw) => ({
                    raw,
                })),
            });
            assert.deepEqual(await images().countByState(), { active: 2, creating: 1 });
        });

        it('has another generation after each change of an image, whoever made it, or never tells one', async () => {
            const seen = [images().generation()];
            const other = await subject.another();
            await images().commit({ put: [{ raw: testImage(1) }] });
            seen.push(images().generation());
            if (seen[0] === undefined) {
                assert.equal(seen[1], undefined);
                return;
            }
            await other.images.commit({ put: [{ raw: testImage(2) }] });
            seen.push(images().generation());
            await other.images.commit({ delete: [{ uuid: testUuid(2) }] });
            seen.push(images().generation());
            assert.equal(new Set(seen).size, seen.length);
            await other.pending.beat([testUuid(1)], 5);
            assert.equal(images().generation(), seen.at(-1));
        });
    });
}
