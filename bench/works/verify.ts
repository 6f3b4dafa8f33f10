/** The verifier of signatures by itself, beside the bare operation of the crypto library. */
import {
    createPrivateKey,
    createPublicKey,
    generateKeyPairSync,
    randomUUID,
    sign,
    verify,
} from 'node:crypto';
import sshpk from 'sshpk';
import type { Authenticator, SignedRequest } from '../../lib/auth/driver';
import { configKeys } from '../../lib/auth/config-keys';
import { KeyStore } from '../../lib/auth/key-store';
import { Roles } from '../../lib/auth/roles';
import { SignatureAuthenticator } from '../../lib/auth/signature';
import { createLog } from '../../lib/log';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { measureInTurn, median, medianRatio } from '../rounds';

const LEAST = 10_000;
const KEY_BITS = 2048;
const USER = 'bench';
/** Requests, no two with the same signature: one for each second that the server would take it in. */
const REQUESTS = 500;

interface Signed {
    readonly request: SignedRequest;
    readonly text: Buffer;
    readonly signature: Buffer;
}

function signAll(privateKey: string): Signed[] {
    const key = createPrivateKey(privateKey);
    const first = Date.now() - (REQUESTS / 2) * 1000;
    return Array.from({ length: REQUESTS }, (_, n) => {
        const date = new Date(first + n * 1000).toUTCString();
        const text = Buffer.from(`date: ${date}`);
        const signature = sign('sha256', text, key);
        const authorization = `Signature keyId="${USER}",algorithm="rsa-sha256",signature="${signature.toString('base64')}"`;
        const headers = { host: '127.0.0.1:8080', accept: 'application/json', date, authorization };
        return { request: { method: 'GET', url: '/images', httpVersion: '1.1', headers }, text, signature };
    });
}

async function openAuthenticator(publicKey: string): Promise<Authenticator> {
    const line = sshpk.parseKey(publicKey, 'pem').toString('ssh');
    const log = createLog({ name: 'bench', level: 'fatal' });
    const authenticator = new SignatureAuthenticator({
        keys: new KeyStore([configKeys({ [USER]: [line] }, log)], log),
        roles: new Roles({}),
        config: {
            reads: 'anonymous',
            hideUnpublished: false,
            roles: {},
            requireSigned: [],
            keyPollInterval: 3_600_000,
        },
        clock: { now: () => Date.now(), uuid: randomUUID },
        log,
    });
    await authenticator.open();
    return authenticator;
}

/** How often per second of processor time `once` can be done, by this process. */
async function rate(count: number, once: (n: number) => Promise<void>): Promise<number> {
    const before = process.cpuUsage();
    for (let n = 0; n < count; n++) {
        await once(n);
    }
    const { user, system } = process.cpuUsage(before);
    return (count / (user + system)) * 1e6;
}

export async function verifySignatures(context: Context): Promise<Measure[]> {
    const { rounds, verifications } = context.scale;
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
        modulusLength: KEY_BITS,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const signed = signAll(privateKey);
    const at = (n: number): Signed => signed[n % signed.length]!;
    const key = createPublicKey(publicKey);
    const authenticator = await openAuthenticator(publicKey);
    const subjects = [
        () =>
            rate(verifications, async (n) => {
                await authenticator.authenticate(at(n).request, true);
            }),
        () =>
            rate(verifications, async (n) => {
                if (!verify('sha256', at(n).text, key, at(n).signature)) {
                    throw new Error('A signature is not verified by its own key.');
                }
            }),
    ] as const;
    await measureInTurn(1, subjects);
    const [values, floors] = await measureInTurn(rounds, subjects);
    await authenticator.close();
    return [
        {
            work: `verify a signature, RSA-${KEY_BITS}`,
            value: median(values),
            floor: median(floors),
            ratio: medianRatio(values, floors),
            unit: units.perSecond,
            target: { of: 'value', least: LEAST },
        },
    ];
}
