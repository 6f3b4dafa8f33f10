/**
 * Signed requests changed by chance. One that the server takes has to say what its user has signed: it names the user,
 * the text that its own bytes amount to is one that the user signed, and the signature is the one made of that text, in
 * every bit. Everything else is a forgery.
 *
 * FUZZ_REQUESTS says how many (`npm run fuzz`: 12,000), FUZZ_SEED which; a failure names the seed and the request.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chance } from '../support/fuzz-values';
import { makeKey, type TestKey } from '../support/keys';
import { Registry, testKeys } from '../support/registry';
import { sendRaw } from '../support/raw-http';
import { mutate, read } from '../support/signature-mutations';
import { SignedMessage } from '../support/signed-message';

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 3000);
const SEED = Number(process.env.FUZZ_SEED ?? 20_240_131);

const AT_ONCE = 8;
const WITHIN = 10_000;
/** After so many failures the rest is not tried. */
const MOST_FAILURES = 10;
/** The answers tell whether the server knows who asks. */
const TARGETS = ['/state', '/state?a=b', '/ping', '/ping?a=b'];

/** POST /state without a parameter that it needs. */
const PAST_AUTHENTICATION = 409;

/** What else requests are answered with, which may be about another path by now. */
const OTHER_ANSWERS = [301, 400, 401, 404, 405];

describe('Signed requests changed by chance', function () {
    this.timeout(60_000 + REQUESTS * 50);

    let registry: Registry;
    const keys = new Map<string, TestKey>();
    before(async () => {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        try {
            const [alice, bob] = testKeys();
            keys.set('alice', alice).set('bob', bob);
            keys.set('erin', makeKey(folder, 'erin', 'ecdsa'));
            keys.set('edith', makeKey(folder, 'edith', 'ed25519'));
        } finally {
            rmSync(folder, { recursive: true });
        }
        const authKeys = Object.fromEntries([...keys].map(([user, { publicLine }]) => [user, [publicLine]]));
        // The server does not wait long for the rest of a request that is cut off.
        const limits = { readTimeout: 300, headerTimeout: 500 };
        registry = await Registry.start({ authKeys, limits });
    });
    after(() => registry.stop());

    /** Signatures that users have made, each with the text, and who made it. */
    const signed = new Map<string, { user: string; text: string }>();

    function makeMessage(chance: Chance): SignedMessage {
        const user = chance.pick([...keys.keys()]);
        const message = new SignedMessage(chance.pick(TARGETS), user, keys.get(user)!);
        message.addHeader('X-One', 'a').addHeader('X-Two', 'b');
        if (chance.onceIn(4)) {
            message.addHeader('X-Date', message.header('date')!);
        }
        if (!chance.onceIn(4)) {
            const date = message.header('x-date') === undefined ? 'date' : 'x-date';
            const list = ['host', 'x-one', 'x-two', '(request-target)', 'request-line', '(keyid)'];
            const others = list.filter(() => chance.onceIn(3));
            message.setParameter('headers', [...others, date].join(' '));
        }
        message.sign();
        signed.set(message.parameter('signature')!, { user, text: message.text });
        return message;
    }

    /** Whether it was taken. */
    async function tryOne(bytes: Buffer): Promise<boolean> {
        const answer = await sendRaw(registry.url, bytes, {
            half: true,
            bodiless: false,
            within: WITHIN,
        });
        assert.ok(answer, 'the connection was closed without an answer');
        const { status, body } = answer;
        if (status !== 200 && status !== PAST_AUTHENTICATION) {
            assert.ok(OTHER_ANSWERS.includes(status), `it was answered with ${status} ${body.toString()}`);
            return false;
        }
        if (status === 200 && !body.includes('"user"') && !body.includes('"log"')) {
            // An anonymous request is none that claims to be somebody's.
            return false;
        }
        const said = read(bytes);
        const meant = signed.get(said?.signature ?? '');
        assert.deepEqual(
            said && { user: said.user, text: said.text },
            meant,
            'a request was taken that its user did not sign so',
        );
        return true;
    }

    it(`${REQUESTS} of them are taken only if they say what was signed`, async () => {
        const failures: string[] = [];
        let next = 0;
        let taken = 0;
        const worker = async () => {
            while (next < REQUESTS && failures.length < MOST_FAILURES) {
                const number = next++;
                const chance = new Chance(SEED * 1_000_003 + number);
                const { bytes } = mutate(makeMessage(chance), chance);
                try {
                    taken += Number(await tryOne(bytes));
                } catch (err) {
                    failures.push(
                        `request ${number} of seed ${SEED}: ${(err as Error).message}\n${JSON.stringify(bytes.toString('latin1'))}`,
                    );
                }
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
        assert.ok(failures.length === 0, failures.join('\n\n'));
        assert.ok(registry.server.running, 'the process did not end');
        // Changes that all matter, or of which none does, would prove nothing.
        assert.ok(taken > REQUESTS / 40 && taken < REQUESTS / 2, `${taken} of ${REQUESTS} were taken`);
        if (process.env.FUZZ_REQUESTS !== undefined) {
            console.log(`        ${taken} of ${REQUESTS} said what was signed`);
        }
    });
});
