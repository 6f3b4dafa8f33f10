/** What a forged request is, and how it is tried against a server. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import type { TestKey } from '../../support/keys';
import type { RawAnswer } from '../../support/raw-http';
import { sendBytes, SignedMessage } from '../../support/signed-message';

/** A server and those who may sign requests to it. */
export interface World {
    readonly url: string;
    readonly dataDir: string;
    /** Keys of the users, by their names. */
    readonly keys: ReadonlyMap<string, TestKey>;
}

export interface Forgery {
    readonly name: string;
    /** Who signs the request that it begins with; by default alice, who has an RSA key. */
    readonly by?: string;
    /** What that request is beside the plainest there is. */
    readonly valid?: (message: SignedMessage) => void;
    /** Makes the forgery of the valid request, which the server would take. Gives bytes if no message can be it. */
    readonly forge: (message: SignedMessage, world: World) => SignedMessage | Buffer;
    /** What the refusal has to say, for whoever made the mistake by accident. */
    readonly says: RegExp;
    /** By default 401. Others are what HTTP itself refuses. */
    readonly status?: 400 | 431;
    /** Routes that take anonymous requests as well take it for one. */
    readonly isAnonymous?: true;
}

/** A route that wants a signature, and one that takes requests without. */
const STRICT = '/state';
const PASSIVE = '/ping';

/** A refusal repeats what the client sent, but not without end. */
const LONGEST_MESSAGE = 1000;

const CODES = { 400: 'BadRequestError', 401: 'UnauthorizedError', 431: 'RequestHeaderFieldsTooLarge' };

/** What no stranger needs to know about the server. */
const INSIDES = [
    resolve(__dirname, '../../..'),
    'node_modules',
    'node:',
    '.js:',
    '.ts:',
    '    at ',
    'ERR_',
    'OSSL',
    'openssl',
    'asn1',
    'undefined',
    'TypeError',
    'BEGIN ',
    'ssh-',
    'AAAA',
];

/** Text as its bytes in UTF-8, for {@link SignedMessage}. */
export const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

/** What is said to alice of a signature that is not hers. */
export const NOBODY = /^No key of user "alice"/;

/** The request signs these; headers that it does not have by itself are added. */
export const signing =
    (list: string, more: Record<string, string> = {}) =>
    (message: SignedMessage): void => {
        Object.entries(more).forEach(([name, value]) => message.addHeader(name, value));
        message.setParameter('headers', list);
    };

/** A request of the user that the server takes. */
export function validMessage(world: World, user = 'alice', target = STRICT): SignedMessage {
    const key = world.keys.get(user);
    assert.ok(key, `${user} has a key`);
    return new SignedMessage(target, user, key);
}

interface ErrorBody {
    code: string;
    message: string;
}

/** The answer is a refusal with its reason, and tells nothing that was not in the request. Gives the message. */
export function assertRefused(
    answer: RawAnswer,
    sent: Buffer,
    world: World,
    status: 400 | 401 | 431 = 401,
): string {
    const text = answer.body.toString();
    assert.equal(answer.status, status, `it was answered with ${answer.status} ${text}`);
    const { message, ...rest } = JSON.parse(text) as ErrorBody;
    assert.deepEqual(rest, { code: CODES[status] });
    assert.equal(answer.headers.get('content-type'), 'application/json');
    assert.equal(answer.headers.get('www-authenticate'), undefined);
    assert.ok(message.length < LONGEST_MESSAGE, `a message of ${message.length} characters`);
    const secrets = [...INSIDES, world.dataDir, ...[...world.keys.keys()].map((user) => `"${user}"`)];
    const told = secrets.filter((secret) => text.includes(secret) && !sent.includes(secret));
    assert.deepEqual(told, [], `tells a stranger: ${text}`);
    return message;
}

/** The server takes the message, for what its user sent. */
export async function assertAccepted(message: SignedMessage, world: World): Promise<void> {
    const { status, body } = await message.send(world.url);
    assert.equal(status, 200, body.toString());
    if (message.method !== 'HEAD' && message.target.startsWith(PASSIVE)) {
        assert.equal((JSON.parse(body.toString()) as { user?: string }).user, message.user);
    }
}

async function assertAnonymous(answer: RawAnswer): Promise<void> {
    assert.equal(answer.status, 200);
    assert.equal((JSON.parse(answer.body.toString()) as { user?: string }).user, undefined);
}

/** Tries a forgery on both kinds of routes, each time after the request that it is made of. */
export async function tryForgery(forgery: Forgery, world: World): Promise<void> {
    for (const target of [STRICT, PASSIVE]) {
        const valid = validMessage(world, forgery.by, target);
        forgery.valid?.(valid);
        valid.sign();
        await assertAccepted(valid, world);
        const forged = forgery.forge(valid.copy(), world);
        const sent = Buffer.isBuffer(forged) ? forged : forged.bytes;
        assert.ok(!sent.equals(valid.bytes), 'something was changed');
        const answer = await sendBytes(world.url, sent);
        if (forgery.isAnonymous && target === PASSIVE) {
            await assertAnonymous(answer);
        } else {
            assert.match(assertRefused(answer, sent, world, forgery.status), forgery.says);
        }
    }
}
