/**
 * A signed request in its parts, as it goes over the wire: to be signed, tampered with and sent byte by byte.
 *
 * It builds the text to sign by itself, as auth.md §3 has it, and owes nothing to the server or its libraries.
 */
import { signText, type TestKey } from './keys';
import { sendRaw, type RawAnswer } from './raw-http';

type Field = [name: string, value: string];

/** No answer takes longer, in ms: not even one to thousands of parameters. */
const WITHIN = 10_000;

export class SignedMessage {
    method = 'GET';
    version = 'HTTP/1.1';
    scheme = 'Signature';
    body: Buffer = Buffer.alloc(0);
    /** All headers but Authorization; characters are bytes. */
    headers: Field[] = [];
    /** Parameters of the Authorization header; values as they stand there, with their quotes. */
    parameters: Field[] = [];
    /** The Authorization header as a whole, where it is not made of its parts. */
    written: string | undefined;

    constructor(
        public target: string,
        readonly user: string,
        readonly key: TestKey,
    ) {
        this.headers = [
            ['Host', 'images.example.com'],
            ['Date', new Date().toUTCString()],
        ];
        this.parameters = [
            ['keyId', `"${user}"`],
            ['algorithm', `"${key.algorithm}"`],
        ];
    }

    copy(): SignedMessage {
        const copy = Object.assign(new SignedMessage(this.target, this.user, this.key), this);
        copy.headers = this.headers.map(([name, value]) => [name, value]);
        copy.parameters = this.parameters.map(([name, value]) => [name, value]);
        return copy;
    }

    /** Value of a header as the server reads it; of several the first. */
    header(name: string): string | undefined {
        return this.headers.find(([own]) => own.toLowerCase() === name)?.[1].trim();
    }

    /** Sets a header, or with undefined takes it away. */
    setHeader(name: string, value: string | undefined): this {
        this.headers = replaced(this.headers, name, value);
        return this;
    }

    addHeader(name: string, value: string): this {
        this.headers.push([name, value]);
        return this;
    }

    /** Value of a parameter without its quotes; of several the last. */
    parameter(name: string): string | undefined {
        return this.parameters.findLast(([own]) => own === name)?.[1].replace(/^"|"$/g, '');
    }

    /** Sets a parameter, in quotes, or with undefined takes it away. */
    setParameter(name: string, value: string | undefined): this {
        this.parameters = replaced(this.parameters, name, value === undefined ? undefined : `"${value}"`);
        return this;
    }

    /** Sets a parameter to something that stands there as it is, quotes or not. */
    setBareParameter(name: string, value: string): this {
        this.parameters = replaced(this.parameters, name, value);
        return this;
    }

    addParameter(name: string, value: string): this {
        this.parameters.push([name, `"${value}"`]);
        return this;
    }

    /** Changes the Authorization header as text. */
    rewrite(change: (authorization: string) => string): this {
        this.written = change(this.authorization);
        return this;
    }

    get authorization(): string {
        return (
            this.written ??
            `${this.scheme} ${this.parameters.map(([name, value]) => `${name}=${value}`).join(',')}`
        );
    }

    /** Names of what is signed. */
    get signed(): string[] {
        const list = this.parameter('headers') ?? '';
        const date = this.header('x-date') === undefined ? 'date' : 'x-date';
        return list === '' ? [date] : list.toLowerCase().split(' ');
    }

    /** The text to sign. */
    get text(): string {
        return this.signed.map((name) => this.#line(name)).join('\n');
    }

    #line(name: string): string {
        switch (name) {
            case 'request-line':
                return `${this.method} ${this.target} ${this.version}`;
            case '(request-target)':
                return `(request-target): ${this.method.toLowerCase()} ${this.target}`;
            case '(keyid)':
                return `(keyid): ${this.parameter('keyId') ?? ''}`;
            default:
                return name.startsWith('(')
                    ? `${name}: ${this.parameter(name.slice(1, -1)) ?? ''}`
                    : `${name}: ${this.header(name) ?? ''}`;
        }
    }

    /** Signs it as it is now; with another key, in another way or over another text, if one is given. */
    sign({ key = this.key, algorithm = key.algorithm, text = this.text }: SignOptions = {}): this {
        return this.setParameter('signature', signText(text, key, algorithm));
    }

    get signature(): Buffer {
        return Buffer.from(this.parameter('signature') ?? '', 'base64');
    }

    setSignature(bytes: Uint8Array): this {
        return this.setParameter('signature', Buffer.from(bytes).toString('base64'));
    }

    get bytes(): Buffer {
        const lines = [
            `${this.method} ${this.target} ${this.version}`,
            ...[...this.headers, ['Authorization', this.authorization]].map(
                ([name = '', value = '']) => `${name}: ${value}`,
            ),
            ...(this.body.length > 0 ? [`Content-Length: ${this.body.length}`] : []),
        ];
        return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), this.body]);
    }

    /** Sends it on a connection of its own. */
    send(url: string): Promise<RawAnswer> {
        return sendBytes(url, this.bytes, this.method === 'HEAD');
    }
}

export interface SignOptions {
    key?: TestKey;
    algorithm?: string;
    text?: string;
}

export async function sendBytes(url: string, bytes: Buffer, bodiless = false): Promise<RawAnswer> {
    const answer = await sendRaw(url, bytes, { half: false, bodiless, within: WITHIN });
    if (!answer) {
        throw new Error('The connection was closed without an answer.');
    }
    return answer;
}

/** The fields with one of them set in its place, or at the end; or taken away. Names in any case. */
function replaced(fields: readonly Field[], name: string, value: string | undefined): Field[] {
    const isIt = ([own]: Field) => own.toLowerCase() === name.toLowerCase();
    if (value === undefined) {
        return fields.filter((field) => !isIt(field));
    }
    const at = fields.findIndex(isIt);
    return at === -1 ? [...fields, [name, value]] : fields.with(at, [fields[at]![0], value]);
}
