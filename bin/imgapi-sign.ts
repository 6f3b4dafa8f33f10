/** `imgapi-sign`: the headers that sign a request to an image registry, for curl and its like. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { ALGORITHMS, chooseAlgorithm } from '../lib/signing/algorithms';
import { findSigner, type KeyPlaces } from '../lib/signing/find';
import { authorization, REQUEST_LINE, REQUEST_TARGET } from '../lib/signing/request';
import { describeKey, SigningError } from '../lib/signing/signer';

const EXIT_USAGE = 1;
const EXIT_FAILED = 2;

/** What stands for standard input. */
const STDIN = '-';

/** The header that no two signatures have alike. */
const NONCE = 'X-Nonce';

/** Names that are easier to type where parentheses mean something to a shell. */
const ALIASES: ReadonlyMap<string, string> = new Map([['request-target', REQUEST_TARGET]]);

const FIRST_LINE: ReadonlySet<string> = new Set([REQUEST_TARGET, REQUEST_LINE]);

const HELP = `Usage: imgapi-sign [OPTIONS] [METHOD URL]
       imgapi-sign [OPTIONS] --curl METHOD URL [-- CURL-ARGUMENT...]

Signs a request to an image registry with an SSH key, and prints the headers to send with it, one a line:

    curl -H @<(imgapi-sign -u alice) https://images.example.com/images

Options:
    -u, --user USER        whose key it is, as the registry knows the user
    -i, --identity KEY     the key to sign with, see below
    -a, --algorithm NAME   signature algorithm; by default the first that suits the key, of
                           ${wrapped(
                               ALGORITHMS.map(({ name }) => name),
                               27,
                           )}
    -s, --sign NAME,...    what to sign besides the date, in this order; may be repeated. NAME is a header,
                           request-target or request-line (method and URL), host, or digest (the body)
    -H, --header 'NAME: VALUE'
                           a header to print and sign as well; may be repeated. Date sets another time
        --body FILE        the body of the request, "-" for standard input; adds a Digest header and signs it
        --nonce            add an ${NONCE} header of random value and sign it, for servers that take a signature once:
                           without it, those of the same second are the same
        --curl             print a command of curl, quoted for a shell, with the body and what follows "--"
    -h, --help             print this text

METHOD and URL are needed for --sign request-target, request-line and host, and for --curl. URL has to be as it is sent.

KEY is one of:
    a private key          in PEM, PKCS#8 or OpenSSH form, without a passphrase
    a public key           ssh-agent signs with its private half
    a private key with a passphrase, or a fingerprint (SHA256:... or MD5:...)
                           ssh-agent signs with it; load it with ssh-add before
Without KEY the only key of ssh-agent is taken, or if it has none, the only one of ~/.ssh/id_ed25519, id_ecdsa,
id_rsa and id_dsa. Where there are several, one has to be named.

Environment:
    IMGAPI_CLI_USER        USER, where -u is not given
    IMGAPI_CLI_IDENTITY    KEY, where -i is not given
    SSH_AUTH_SOCK          the socket of ssh-agent

Exit codes: 0 done; 1 wrong usage; 2 the request could not be signed.
`;

/** The command line is wrong. */
class UsageError extends Error {}

interface Header {
    name: string;
    value: string;
}

/** What the command line and the environment ask for. */
interface Order {
    user: string;
    identity: string | undefined;
    algorithm: string | undefined;
    /** What to sign, in lower case, the date and the digest included. */
    names: string[];
    headers: Header[];
    body: string | undefined;
    method: string | undefined;
    url: URL | undefined;
    /** Further arguments of curl; absent if headers are printed. */
    curl: string[] | undefined;
}

function wrapped(words: readonly string[], indent: number): string {
    const half = Math.ceil(words.length / 2);
    return [words.slice(0, half), words.slice(half)]
        .map((part) => part.join(', '))
        .join(`,\n${' '.repeat(indent)}`);
}

/** The value of a variable; an empty one counts as not set. */
const given = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

function parse(argv: readonly string[], env: NodeJS.ProcessEnv): Order | undefined {
    const { values, tokens, positionals } = parseArgs({
        args: [...argv],
        allowPositionals: true,
        tokens: true,
        options: {
            user: { type: 'string', short: 'u' },
            identity: { type: 'string', short: 'i' },
            algorithm: { type: 'string', short: 'a' },
            sign: { type: 'string', short: 's', multiple: true },
            header: { type: 'string', short: 'H', multiple: true },
            body: { type: 'string' },
            nonce: { type: 'boolean' },
            curl: { type: 'boolean' },
            help: { type: 'boolean', short: 'h' },
        },
    });
    if (values.help) {
        return undefined;
    }
    const { curl = false, body } = values;
    const end = tokens.find(({ kind }) => kind === 'option-terminator')?.index ?? argv.length;
    const named = tokens.filter(({ kind, index }) => kind === 'positional' && index < end).length;
    const [method, url] = positionals.slice(0, named);
    const extra = positionals.slice(named);
    if (named > 2) {
        throw new UsageError(
            `"${positionals[2] ?? ''}" is too much: METHOD and URL are all that may follow.`,
        );
    }
    if (extra.length > 0 && !curl) {
        throw new UsageError('Arguments after "--" are for curl; they need --curl.');
    }
    if (method !== undefined && url === undefined) {
        throw new UsageError(`"${method}" is given without a URL; METHOD and URL go together.`);
    }
    if (curl && url === undefined) {
        throw new UsageError('--curl needs METHOD and URL.');
    }
    if (curl && body === STDIN) {
        throw new UsageError('--curl needs a body that can be read again; give --body a file.');
    }
    const headers = [
        ...(values.nonce ? [{ name: NONCE, value: randomUUID() }] : []),
        ...(values.header ?? []).map(parseHeader),
    ];
    const names = namesToSign(values.sign ?? [], headers, body);
    const missing = names.find((name) => FIRST_LINE.has(name) || isHostOfUrl(name, headers));
    if (missing !== undefined && url === undefined) {
        throw new UsageError(`To sign ${missing}, METHOD and URL are needed.`);
    }
    return {
        user: checkUser(values.user ?? env.IMGAPI_CLI_USER ?? ''),
        identity: values.identity ?? given(env.IMGAPI_CLI_IDENTITY),
        algorithm: values.algorithm,
        names,
        headers,
        body,
        method: method === undefined ? undefined : checkMethod(method),
        url: url === undefined ? undefined : checkUrl(url),
        curl: curl ? extra : undefined,
    };
}

function checkUser(user: string): string {
    if (user === '') {
        throw new UsageError('Whose key is it? Give -u USER, or set IMGAPI_CLI_USER.');
    }
    if (!/^[\x20-\x7e]+$/.test(user) || user.includes('"')) {
        throw new UsageError(
            `The user is ${JSON.stringify(user)}; a signature can carry printable ASCII only, and no ".`,
        );
    }
    return user;
}

function checkMethod(method: string): string {
    if (!/^[a-z]+$/i.test(method)) {
        throw new UsageError(`The method is "${method}"; it has to be one such as GET or POST.`);
    }
    return method.toUpperCase();
}

/** The URL, if clients send it as it is written: a signature over anything else would not verify. */
function checkUrl(text: string): URL {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
        throw new UsageError(
            `The URL is "${text}"; it has to be one such as https://images.example.com/images.`,
        );
    }
    if (url.username !== '' || url.password !== '') {
        throw new UsageError('The URL has a user name or password; a signature takes their place.');
    }
    const sent = /^[^/]*\/\/[^/?#]*([^#]*)/.exec(text)?.[1] ?? '';
    if (targetOf(url) !== (sent.startsWith('/') ? sent : `/${sent}`)) {
        throw new UsageError(`The URL is "${text}"; write it in the form it is sent in, ${url.href}`);
    }
    return url;
}

const targetOf = ({ pathname, search }: URL): string => pathname + search;

function parseHeader(line: string): Header {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)[ \t]*$/s.exec(line) ?? [];
    if (name === undefined || value === undefined || !/^[\x20-\x7e]+$/.test(value)) {
        throw new UsageError(
            `The header is ${JSON.stringify(line)}; it has to be "NAME: VALUE", with a value of printable ASCII.`,
        );
    }
    if (name.toLowerCase() === 'authorization') {
        throw new UsageError('The Authorization header is what imgapi-sign makes; it cannot be given.');
    }
    return { name, value };
}

function has(headers: readonly Header[], name: string): boolean {
    return headers.some((header) => header.name.toLowerCase() === name);
}

/** Whether the value of the host header comes from the URL. */
function isHostOfUrl(name: string, headers: readonly Header[]): boolean {
    return name === 'host' && !has(headers, 'host');
}

/** What `--sign` names, and after it whatever else is printed; the date first, which servers ask for. */
function namesToSign(
    lists: readonly string[],
    headers: readonly Header[],
    body: string | undefined,
): string[] {
    const asked = lists
        .flatMap((list) => list.split(','))
        .map((name) => name.trim().toLowerCase())
        .map((name) => ALIASES.get(name) ?? name);
    const own = headers.map(({ name }) => name.toLowerCase());
    const twice = own.find((name, index) => own.indexOf(name) !== index);
    if (twice !== undefined) {
        throw new UsageError(`The header ${twice} is given more than once.`);
    }
    if (body !== undefined && own.includes('digest')) {
        throw new UsageError('The Digest header is given as well as --body, of which it is made.');
    }
    const made = ['date', 'host', ...FIRST_LINE, ...(body === undefined ? [] : ['digest'])];
    const unknown = asked.find((name) => !made.includes(name) && !own.includes(name));
    if (unknown !== undefined) {
        throw new UsageError(
            unknown === 'digest'
                ? 'To sign the digest, the body is needed: give --body FILE (/dev/null for none).'
                : `There is no value for "${unknown}", which is to be signed: give -H "${unknown}: VALUE".`,
        );
    }
    const names = [...asked, ...(body === undefined ? [] : ['digest']), ...own];
    return [...new Set(names.includes('date') ? names : ['date', ...names])];
}

/** The Digest header of a body of any size. @throws SigningError */
async function digestOf(file: string): Promise<string> {
    const hash = createHash('sha256');
    try {
        await pipeline(file === STDIN ? process.stdin : createReadStream(file), hash);
    } catch (err) {
        const { code = 'unknown error' } = err as NodeJS.ErrnoException;
        throw new SigningError(
            `The body ${file === STDIN ? 'on standard input' : file} cannot be read (${code}).`,
        );
    }
    return `SHA-256=${hash.digest('base64')}`;
}

/** The headers to send, Authorization the last of them. @throws SigningError */
async function sign(order: Order, places: KeyPlaces): Promise<Header[]> {
    const { user, identity, names, method, url, body } = order;
    const signer = await findSigner(identity, places);
    const algorithm = chooseAlgorithm(signer.algorithms, order.algorithm, describeKey(signer.key));
    const digest = body === undefined ? undefined : await digestOf(body);
    // The last, so that a large body does not make it old.
    const made = new Map([
        ['date', { name: 'Date', value: new Date().toUTCString() }],
        ['host', { name: 'Host', value: url?.host ?? '' }],
        ['digest', { name: 'Digest', value: digest ?? '' }],
    ]);
    const own = new Map(order.headers.map((header) => [header.name.toLowerCase(), header]));
    const headers = new Map(
        names.flatMap((name) => {
            const header = own.get(name) ?? made.get(name);
            return header ? [[name, header] as const] : [];
        }),
    );
    const value = await authorization(signer, {
        keyId: user,
        algorithm,
        request: {
            names,
            headers: new Map([...headers].map(([name, header]) => [name, header.value])),
            method,
            target: url && targetOf(url),
        },
    });
    return [...headers.values(), { name: 'Authorization', value }];
}

/** One word of a shell's command line. */
function quoted(word: string): string {
    return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function curlCommand({ method = '', url, body, curl = [] }: Order, lines: readonly string[]): string {
    return [
        'curl',
        // The URL is what was signed, whatever curl would make of its brackets.
        '--globoff',
        '-X',
        method,
        ...(method === 'HEAD' ? ['--head'] : []),
        ...lines.flatMap((line) => ['-H', line]),
        ...(body === undefined ? [] : ['-T', body]),
        ...curl,
        url?.href ?? '',
    ]
        .map(quoted)
        .join(' ');
}

function isUsageError(error: unknown): error is Error {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS');
}

async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
    try {
        const order = parse(argv, env);
        if (!order) {
            process.stdout.write(HELP);
            return 0;
        }
        const places = { agent: given(env.SSH_AUTH_SOCK), folder: join(homedir(), '.ssh') };
        const lines = (await sign(order, places)).map(({ name, value }) => `${name}: ${value}`);
        process.stdout.write(`${order.curl ? curlCommand(order, lines) : lines.join('\n')}\n`);
        return 0;
    } catch (error) {
        if (isUsageError(error)) {
            process.stderr.write(
                `imgapi-sign: ${error.message}\nRun "imgapi-sign --help" for its options.\n`,
            );
            return EXIT_USAGE;
        }
        process.stderr.write(`imgapi-sign: ${error instanceof Error ? error.message : String(error)}\n`);
        return EXIT_FAILED;
    }
}

// Whoever reads the headers may have stopped reading.
process.stdout.once('error', () => {
    process.exitCode = EXIT_FAILED;
});

void main(process.argv.slice(2), process.env).then((code) => {
    process.exitCode ??= code;
});
