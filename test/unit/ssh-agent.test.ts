/** What comes of agents that are not as they should be. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { chooseAlgorithm } from '../../lib/signing/algorithms';
import { SigningError } from '../../lib/signing/signer';
import { SshAgent } from '../../lib/signing/ssh-agent';
import { string, uint32 } from '../../lib/signing/wire';
import { makeFolder } from '../support/server';

/** A message of the protocol. */
const message = (...parts: Buffer[]): Buffer => string(Buffer.concat(parts));
const text = (value: string): Buffer => string(Buffer.from(value));

const IDENTITIES = Buffer.of(12);
const SIGNED = Buffer.of(14);
const REFUSED = message(Buffer.of(5));

const { publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const RSA = sshpk.parseKey(publicKey, 'pem').toBuffer('rfc4253');
const identities = (...blobs: Buffer[]): Buffer =>
    message(IDENTITIES, uint32(blobs.length), ...blobs.flatMap((blob) => [string(blob), text('a comment')]));

describe('ssh-agent', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let server: Server;
    let path: string;
    /** What the agent does with each message it gets, and the messages it got. */
    let answer: (request: Buffer, socket: Socket) => void;
    let requests: Buffer[];

    before(async () => {
        folder = await makeFolder();
        path = join(folder.path, 'agent');
        server = createServer((socket) => {
            socket.on('error', () => undefined);
            socket.on('data', (request) => {
                requests.push(request);
                answer(request, socket);
            });
        }).listen(path);
        await once(server, 'listening');
    });
    beforeEach(() => {
        requests = [];
    });
    after(async () => {
        server.close();
        await once(server, 'close');
        await folder.remove();
    });

    const agent = (list = 10_000): SshAgent => new SshAgent(path, { list, sign: 10_000 });

    /** Signs with the agent's only key, where it answers the request to sign with that. */
    async function signWith(signed: Buffer, algorithm = 'rsa-sha256'): Promise<Buffer> {
        answer = (_, socket) => socket.write(requests.length === 1 ? identities(RSA) : signed);
        const [signer] = await agent().signers();
        assert.ok(signer);
        return signer.sign(Buffer.from('data'), chooseAlgorithm(signer.algorithms, algorithm, 'it'));
    }

    async function assertTrouble(work: Promise<unknown>, expected: RegExp): Promise<void> {
        await assert.rejects(work, (err) => err instanceof SigningError && expected.test(err.message));
    }

    it('may answer in pieces, and hold keys that sign no requests', async () => {
        const security = Buffer.concat([text('sk-ssh-ed25519@openssh.com'), text('further parts')]);
        const certificate = Buffer.concat([text('ssh-rsa-cert-v01@openssh.com'), text('further parts')]);
        answer = (_, socket) => {
            const bytes = identities(security, RSA, certificate);
            socket.write(bytes.subarray(0, 3));
            setImmediate(() => socket.write(bytes.subarray(3, 50), () => socket.write(bytes.subarray(50))));
        };
        const [signer, ...others] = await agent().signers();
        assert.equal(signer?.key.comment, 'a comment');
        assert.ok(signer.key.fingerprint('sha256').matches(sshpk.parseKey(publicKey, 'pem')));
        assert.deepEqual(others, []);
        assert.deepEqual(requests, [message(Buffer.of(11))]);
    });

    it('is asked for the digest of the algorithm, and gives a signature of the full length', async () => {
        for (const [algorithm, name, flags] of [
            ['rsa-sha1', 'ssh-rsa', 0],
            ['rsa-sha256', 'rsa-sha2-256', 2],
            ['rsa-sha512', 'rsa-sha2-512', 4],
        ] as const) {
            requests = [];
            const short = Buffer.alloc(255, 7);
            const signature = await signWith(
                message(SIGNED, string(Buffer.concat([text(name), string(short)]))),
                algorithm,
            );
            assert.deepEqual(signature, Buffer.concat([Buffer.of(0), short]));
            assert.deepEqual(requests[1], message(Buffer.of(13), string(RSA), text('data'), uint32(flags)));
        }
    });

    it('that signs with another digest than was asked for is told apart', async () => {
        const sha1 = message(SIGNED, string(Buffer.concat([text('ssh-rsa'), string(Buffer.alloc(256, 7))])));
        await assertTrouble(signWith(sha1), /signed with sha1 where rsa-sha256 was asked for/);
    });

    it('that refuses is named with its socket', async () => {
        await assertTrouble(
            signWith(REFUSED),
            /agent refused to sign with RSA SHA256:.{43} a comment: it may be locked/,
        );
        answer = (_, socket) => socket.write(REFUSED);
        await assertTrouble(agent().signers(), /\/agent does not tell which keys it holds\.$/);
    });

    it('that does not speak the protocol is given up', async () => {
        for (const [bytes, expected] of [
            [uint32(0), /announced an answer of 0 bytes/],
            [uint32(0xffffffff), /announced an answer of 4294967295 bytes/],
            [message(IDENTITIES), /cannot be understood: 4 bytes were announced, 0 are there/],
            [message(IDENTITIES, uint32(0xffffffff)), /cannot be understood: 4 bytes/],
            [message(IDENTITIES, uint32(1), uint32(100)), /cannot be understood: 100 bytes were announced/],
            [identities(Buffer.concat([text('ssh-rsa'), text('x')])), /cannot be understood\.$/],
            [identities(Buffer.alloc(0)), /cannot be understood/],
        ] as const) {
            answer = (_, socket) => socket.write(bytes);
            await assertTrouble(agent().signers(), expected);
        }
        for (const signature of [Buffer.alloc(0), text('rsa-sha2-256'), text('ssh-ed25519')]) {
            requests = [];
            await assertTrouble(
                signWith(message(SIGNED, string(signature))),
                /cannot be understood|signed with something else/,
            );
        }
    });

    it('that goes away or is silent is given up', async () => {
        answer = (_, socket) => socket.end(identities(RSA).subarray(0, 20));
        await assertTrouble(agent().signers(), /closed the connection before it had answered/);
        answer = (_, socket) => socket.destroy();
        await assertTrouble(agent().signers(), /closed the connection before it had answered/);
        answer = () => undefined;
        await assertTrouble(agent(20).signers(), /did not answer within 0\.02 s/);
    });

    it('that is not there says so', async () => {
        await assertTrouble(new SshAgent(`${path}-gone`).signers(), /-gone cannot be reached \(ENOENT\)/);
        await assertTrouble(
            new SshAgent(join('/tmp', 'x'.repeat(200))).signers(),
            /cannot be reached \(\w+\)/,
        );
    });
});
