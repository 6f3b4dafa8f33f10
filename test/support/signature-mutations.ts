/** Signed requests changed by chance, and what an onlooker reads from the bytes that come of it. */
import type { Chance } from './fuzz-values';
import type { SignedMessage } from './signed-message';

/** Characters that mean something somewhere in a signed request, and some that should not be there. */
const CHARACTERS = [
    ...Array.from('",= ():;-+/\\%&?#.*\'aAzZ09_'),
    ...['\t', '\0', '\r', '\n', '\r\n', '\x7f', '\xa0', '\xe9'],
];

const NAMES = [
    'keyId',
    'algorithm',
    'headers',
    'signature',
    'opaque',
    'created',
    'expires',
    'constructor',
    'x',
];
const VALUES = [
    '',
    'alice',
    'bob',
    'rsa-sha256',
    'RSA-SHA256',
    'rsa-sha1',
    'hmac-sha256',
    'date',
    'x-date',
    'host',
];
const LISTABLE = [
    'date',
    'x-date',
    'host',
    'x-one',
    'x-two',
    '(request-target)',
    'request-line',
    '(keyid)',
    '',
];
const HEADERS = ['Date', 'X-Date', 'Host', 'X-One', 'X-Two', 'Signature', 'Authorization', 'X-Other'];
const SCHEMES = ['signature', 'SIGNATURE', 'Basic', 'Signature ', ''];

const upperOrLower = (chance: Chance, text: string): string =>
    chance.onceIn(2) ? text.toUpperCase() : text.toLowerCase();

/** A character put in, taken out, doubled, changed, or exchanged with its neighbour. */
function editText(chance: Chance, text: string): string {
    const at = chance.below(text.length + 1);
    const [before, after] = [text.slice(0, at), text.slice(at)];
    switch (chance.below(6)) {
        case 0:
            return before + chance.pick(CHARACTERS) + after;
        case 1:
            return before + after.slice(1);
        case 2:
            return before + after.slice(0, 1) + after;
        case 3:
            return before + chance.pick(CHARACTERS) + after.slice(1);
        case 4:
            return before + after.slice(1, 2) + after.slice(0, 1) + after.slice(2);
        default:
            return before + upperOrLower(chance, after.slice(0, 1)) + after.slice(1);
    }
}

function exchange(chance: Chance, list: unknown[]): void {
    const [a, b] = [chance.below(list.length), chance.below(list.length)];
    [list[a], list[b]] = [list[b], list[a]];
}

type Mutation = (message: SignedMessage, chance: Chance) => void;

const date = (chance: Chance): string =>
    new Date(Date.now() + (chance.below(1000) - 500) * 1000).toUTCString();

const MUTATIONS: readonly Mutation[] = [
    (message, chance) => message.rewrite((text) => editText(chance, text)),
    (message, chance) => message.rewrite((text) => text.slice(0, chance.below(text.length))),
    (message, chance) => {
        const { signature } = message;
        signature[chance.below(signature.length)]! ^= 1 << chance.below(8);
        message.setSignature(signature);
    },
    (message, chance) => message.setSignature(message.signature.subarray(chance.below(9))),
    (message, chance) =>
        message.setSignature(Buffer.concat([message.signature, Buffer.alloc(chance.below(9))])),
    (message, chance) => exchange(chance, message.parameters),
    (message, chance) => message.addParameter(chance.pick(NAMES), chance.pick(VALUES)),
    (message, chance) => message.addParameter(...pickField(chance, message)),
    (message, chance) => message.setParameter(chance.pick(NAMES), undefined),
    (message, chance) => message.setParameter(chance.pick(NAMES), chance.pick(VALUES)),
    (message, chance) => message.setBareParameter(chance.pick(NAMES), String(chance.below(100))),
    (message, chance) => {
        const name = chance.pick(NAMES);
        message.setParameter(name, editText(chance, message.parameter(name) ?? ''));
    },
    (message, chance) => {
        const field = chance.pick(message.parameters);
        field[0] = upperOrLower(chance, field[0]);
    },
    (message, chance) => {
        message.scheme = chance.pick(SCHEMES);
    },
    (message, chance) => {
        const list = message.signed;
        exchange(chance, list);
        message.setParameter('headers', list.join(' '));
    },
    (message, chance) => {
        const list = message.signed;
        list.splice(chance.below(list.length + 1), chance.below(2), chance.pick(LISTABLE));
        message.setParameter('headers', list.join(' '));
    },
    (message, chance) => message.setParameter('headers', upperOrLower(chance, message.signed.join(' '))),
    (message, chance) => exchange(chance, message.headers),
    (message, chance) => message.addHeader(chance.pick(HEADERS), chance.onceIn(2) ? date(chance) : 'a'),
    (message, chance) => message.addHeader(...chance.pick(message.headers)),
    (message, chance) => message.setHeader(chance.pick(HEADERS), undefined),
    (message, chance) => message.setHeader(chance.pick(['Date', 'X-Date']), date(chance)),
    (message, chance) => {
        const field = chance.pick(message.headers);
        field[1] = editText(chance, field[1]);
    },
    (message, chance) => {
        const field = chance.pick(message.headers);
        field[chance.below(2)] = upperOrLower(chance, field[0]);
    },
    (message, chance) => {
        const field = chance.pick(message.headers);
        field[1] = chance.onceIn(2) ? `${field[1]} \t` : `\t  ${field[1]}`;
    },
    (message, chance) => {
        message.method = chance.pick(['POST', 'get', 'OPTIONS', 'DELETE']);
    },
    (message, chance) => {
        message.target = chance.pick(['?', '?a', '/', '#', '%20', ';']) + message.target;
    },
    (message, chance) => {
        message.target += chance.pick(['?', '?a', '/', '#', '%20', ';', '&x=y']);
    },
    (message) => {
        message.version = 'HTTP/1.0';
    },
];

/** One of the parameters that are there, with its value in no quotes. */
function pickField(chance: Chance, { parameters }: SignedMessage): [name: string, value: string] {
    const [name, value] = chance.pick(parameters);
    return [name, value.replace(/^"|"$/g, '')];
}

/** Changes the message in one way or up to three. The same chance and message give the same one. */
export function mutate(message: SignedMessage, chance: Chance): SignedMessage {
    const mutant = message.copy();
    // Changes of the header as text come last, since it is not put together again after them.
    const mutations = Array.from({ length: chance.pick([1, 1, 1, 2, 3]) }, () =>
        chance.below(MUTATIONS.length),
    );
    mutations.sort((a, b) => b - a).forEach((n) => MUTATIONS[n]?.(mutant, chance));
    return mutant;
}

/** What a request says, to an onlooker who knows auth.md §3 and reads the bytes himself. */
export interface Statement {
    user: string;
    algorithm: string;
    /** In base64, as it stands there. */
    signature: string;
    /** What it says was signed. */
    text: string;
}

/** What the bytes say; undefined if they are no signed request. */
export function read(bytes: Buffer): Statement | undefined {
    const [first = '', ...lines] = bytes.toString('latin1').split('\r\n\r\n')[0]!.split('\r\n');
    const fields = lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
    });
    const values = (name: string) => fields.filter(([own]) => own === name).map(([, value]) => value);
    const [authorization, ...others] = values('authorization');
    if (authorization?.startsWith('Signature ') !== true || others.length > 0) {
        return undefined;
    }
    const parameters = readParameters(authorization.slice('Signature '.length));
    const [user, algorithm, signature] = ['keyId', 'algorithm', 'signature'].map((name) =>
        parameters?.get(name),
    );
    if (!parameters || user === undefined || algorithm === undefined || signature === undefined) {
        return undefined;
    }
    const [method = '', target = '', version = ''] = first.split(' ');
    const date = (values('x-date')[0] ?? '') === '' ? 'date' : 'x-date';
    const list = (parameters.get('headers') ?? '') || date;
    const names = list.toLowerCase().split(' ');
    const line = (name: string): string => {
        switch (name) {
            case 'request-line':
                return `${method} ${target} ${version}`;
            case '(request-target)':
                return `${name}: ${method.toLowerCase()} ${target}`;
            case '(keyid)':
                return `${name}: ${user}`;
            case '(algorithm)':
                return `${name}: ${algorithm}`;
            default:
                return `${name}: ${name === 'host' ? (values(name)[0] ?? '') : values(name).join(', ')}`;
        }
    };
    return names.includes(date)
        ? { user, algorithm: algorithm.toLowerCase(), signature, text: names.map(line).join('\n') }
        : undefined;
}

/** The parameters, of several with one name the last; undefined if they are not written as they have to be. */
function readParameters(text: string): Map<string, string> | undefined {
    const parameters = new Map<string, string>();
    const whole = /^(?:[A-Za-z]+=(?:"[^"]*"|\d+)(?:,|$))*(?:[A-Za-z]*|[A-Za-z]+="[^"]*)$/;
    if (!whole.test(text)) {
        return undefined;
    }
    for (const [, name = '', value = ''] of text.matchAll(/([A-Za-z]+)="([^"]*)"(?:,|$)/g)) {
        parameters.set(name, value);
    }
    return parameters;
}
