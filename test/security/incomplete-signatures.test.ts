/** Signatures of less than the operator asks for (`auth.requireSigned`), and of other bodies than the one that comes. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { FILE, MANIFEST } from '../support/api';
import { Registry, testKeys } from '../support/registry';
import type { SignedMessage } from '../support/signed-message';
import { assertAccepted, assertRefused, validMessage, type World } from './forgeries/forgery';

const REQUIRED = ['(request-target)', 'Host', 'digest'];
/** What signs all that. */
const LIST = '(request-target) host date';

const digestOf = (body: Buffer, algorithm = 'SHA-256'): string =>
    `${algorithm}=${createHash(algorithm.replace('-', '').toLowerCase()).update(body).digest('base64')}`;

const OTHER = Buffer.from('the bytes of another file');
const MANIFEST_BYTES = Buffer.from(JSON.stringify(MANIFEST));

describe('Signatures of too little', () => {
    let registry: Registry;
    let world: World;
    before(async () => {
        registry = await Registry.start({ auth: { requireSigned: REQUIRED } });
        world = {
            url: registry.url,
            dataDir: registry.dataDir,
            keys: new Map([['alice', testKeys()[0]]]),
        };
    });
    after(() => registry.stop());

    async function refused(message: SignedMessage, says: RegExp): Promise<void> {
        assert.match(assertRefused(await message.send(world.url), message.bytes, world), says);
    }

    /** A request that is signed as it has to be, with a body and the digest of that or other bytes. */
    function withBody(
        target: string,
        body: Buffer,
        digest: string | undefined = digestOf(body),
    ): SignedMessage {
        const message = validMessage(world, 'alice', target);
        message.method = target.includes('/file') ? 'PUT' : 'POST';
        message.body = body;
        message.setHeader('Digest', digest).setParameter('headers', `${LIST} digest`);
        message.setHeader(
            'Content-Type',
            target.includes('/file') ? 'application/octet-stream' : 'application/json',
        );
        return message.sign();
    }

    async function createImage(): Promise<string> {
        const answer = await withBody('/images', MANIFEST_BYTES).send(world.url);
        assert.equal(answer.status, 200, answer.body.toString());
        return (JSON.parse(answer.body.toString()) as { uuid: string }).uuid;
    }

    it('are refused, with what is missing', async () => {
        await assertAccepted(validMessage(world).setParameter('headers', LIST).sign(), world);
        await assertAccepted(
            validMessage(world).setParameter('headers', 'host request-line date').sign(),
            world,
        );
        const cases: Record<string, RegExp> = {
            date: /request-target.*host/,
            'date host': /request-target/,
            'date (request-target)': /host/,
            'date request-line': /host/,
            '(request-target) host': /date/,
            'date host (request-target) digest': /digest/,
            'date host target': /target/,
        };
        for (const [list, says] of Object.entries(cases)) {
            await refused(validMessage(world).setParameter('headers', list).sign(), says);
        }
    });

    it('are refused for another path, query or method', async () => {
        const valid = validMessage(world, 'alice', '/ping?a=b').setParameter('headers', LIST).sign();
        await assertAccepted(valid, world);
        for (const target of ['/state', '/ping', '/ping?a=c', '/ping?a=b&a=c', '//ping?a=b']) {
            const answer = await Object.assign(valid.copy(), { target }).send(world.url);
            assert.ok([401, 404].includes(answer.status), target);
        }
        await refused(Object.assign(valid.copy(), { version: 'HTTP/1.0', target: '/state' }), /alice/);
    });

    it('are refused with a body whose digest is not signed', async () => {
        const message = validMessage(world, 'alice', '/images');
        Object.assign(message, { method: 'POST', body: MANIFEST_BYTES });
        message.setHeader('Content-Type', 'application/json').setParameter('headers', LIST);
        await refused(message.sign(), /digest/);
        message.setHeader('Digest', digestOf(MANIFEST_BYTES));
        await refused(message.sign(), /digest/);
        // Nothing says how long the body is.
        message.body = Buffer.alloc(0);
        await refused(message.setHeader('Transfer-Encoding', 'chunked').sign(), /digest/);
    });

    const digests: Readonly<Record<string, { digest: string; says: RegExp }>> = {
        'of another body': { digest: digestOf(OTHER), says: /digest/i },
        'of no body': { digest: digestOf(Buffer.alloc(0)), says: /digest/i },
        'that is empty': { digest: '', says: /digest/i },
        'that is cut off': { digest: digestOf(FILE).slice(0, -8), says: /digest/i },
        'without padding': { digest: digestOf(FILE).replace(/=$/, ''), says: /digest/i },
        'in hexadecimal': {
            digest: `SHA-256=${createHash('sha256').update(FILE).digest('hex')}`,
            says: /digest/i,
        },
        'of SHA-512 under the name of SHA-256': {
            digest: digestOf(FILE, 'SHA-512').replace('512', '256'),
            says: /digest/i,
        },
        'of an algorithm that is not safe': { digest: digestOf(FILE, 'MD5'), says: /digest/i },
        'of an algorithm that is none': { digest: '__proto__=AAAA', says: /digest/i },
        'without an algorithm': { digest: digestOf(FILE).replace(/^SHA-256=/, ''), says: /digest/i },
        'of SHA-256 beside another of SHA-512': {
            digest: `${digestOf(FILE)},${digestOf(OTHER, 'SHA-512')}`,
            says: /digest/i,
        },
        'of another body beside the right one': {
            digest: `${digestOf(FILE)},${digestOf(OTHER)}`,
            says: /digest/i,
        },
    };
    for (const [name, { digest, says }] of Object.entries(digests)) {
        it(`are refused with a digest ${name}, and nothing is stored`, async () => {
            const uuid = await createImage();
            const before = await registry.snapshot(uuid);
            await refused(withBody(`/images/${uuid}/file?compression=none`, FILE, digest), says);
            await registry.untilStored(uuid, before.stored);
            assert.deepEqual(await registry.snapshot(uuid), before);
            const manifest = Buffer.from(JSON.stringify({ description: 'forged' }));
            const wrong = digest.replaceAll(digestOf(FILE), digestOf(OTHER));
            await refused(withBody(`/images/${uuid}?action=update`, manifest, wrong), says);
            assert.deepEqual(await registry.snapshot(uuid), before);
        });
    }

    it('are taken with a digest that is right', async () => {
        for (const digest of [
            digestOf(FILE),
            digestOf(FILE, 'SHA-512'),
            digestOf(FILE).replace('SHA', 'sha'),
            `${digestOf(FILE)}, ${digestOf(FILE, 'SHA-512')}`,
            `${digestOf(FILE, 'MD5')},${digestOf(FILE)}`,
        ]) {
            const uuid = await createImage();
            const message = withBody(`/images/${uuid}/file?compression=none`, FILE, digest);
            const answer = await message.send(world.url);
            assert.equal(answer.status, 200, answer.body.toString());
        }
    });

    it('are refused with the body of another request', async () => {
        const uuid = await createImage();
        const right = withBody(`/images/${uuid}/file?compression=none`, FILE);
        const longer = Object.assign(right.copy(), { body: Buffer.concat([FILE, OTHER]) });
        const shorter = Object.assign(right.copy(), { body: FILE.subarray(0, -1) });
        const none = Object.assign(right.copy(), { body: Buffer.alloc(0) });
        for (const message of [longer, shorter, none]) {
            await refused(message, /digest/i);
            await registry.untilStored(uuid, []);
        }
        assert.equal((await right.send(world.url)).status, 200);
    });
});

describe('Signatures of a digest that nobody asked for', () => {
    it('are held to it', async () => {
        const registry = await Registry.start();
        try {
            const keys = new Map([['alice', testKeys()[0]]]);
            const world = { url: registry.url, dataDir: registry.dataDir, keys };
            const message = validMessage(world, 'alice', '/images');
            Object.assign(message, { method: 'POST', body: MANIFEST_BYTES });
            message.setHeader('Content-Type', 'application/json').setParameter('headers', 'date digest');
            message.setHeader('Digest', digestOf(OTHER)).sign();
            assert.match(assertRefused(await message.send(world.url), message.bytes, world), /digest/i);
            message.setHeader('Digest', digestOf(MANIFEST_BYTES)).sign();
            assert.equal((await message.send(world.url)).status, 200);
        } finally {
            await registry.stop();
        }
    });
});
