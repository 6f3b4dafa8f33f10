/** A client of ssh-agent (draft-miller-ssh-agent): lists its keys and has it sign. */
import { createConnection } from 'node:net';
import sshpk from 'sshpk';
import { algorithmsOf, type Algorithm } from './algorithms';
import { describeKey, SigningError, type Signer } from './signer';
import { string, uint32, WireError, WireReader } from './wire';

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;

/** Flags of a request to sign with RSA; without one it is done with SHA-1. */
const RSA_FLAGS = { sha1: 0, sha256: 2, sha384: 0, sha512: 4 } as const;

/** The longest answer that is read, in bytes; that of OpenSSH itself. */
const LONGEST_ANSWER = 256 * 1024;

/** Types of keys that sign what they are given; those of certificates and of security keys do not. */
const PLAIN_TYPES: ReadonlySet<string> = new Set([
    'ssh-rsa',
    'ssh-dss',
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
]);

/** How long an agent may take, in ms. */
export interface AgentPatience {
    /** To tell what it holds. */
    list: number;
    /** To sign: somebody may have to be asked. */
    sign: number;
}

const PATIENCE: AgentPatience = { list: 10_000, sign: 60_000 };

export class SshAgent {
    /** @param path of its socket, as `SSH_AUTH_SOCK` gives it */
    constructor(
        private readonly path: string,
        private readonly patience = PATIENCE,
    ) {}

    /**
     * A signer for each of its keys that can sign requests, in its order. A locked agent tells of none.
     * @throws SigningError if it cannot be reached, or does not answer as agents do
     */
    async signers(): Promise<Signer[]> {
        const answer = await this.#ask(Buffer.of(REQUEST_IDENTITIES), this.patience.list);
        if (answer.byte() !== IDENTITIES_ANSWER) {
            throw this.#trouble('does not tell which keys it holds');
        }
        return this.#understand(() => {
            const signers: Signer[] = [];
            for (let left = answer.uint32(); left > 0; left--) {
                const blob = answer.string();
                const comment = answer.string().toString();
                if (PLAIN_TYPES.has(new WireReader(blob).string().toString('latin1'))) {
                    const key = sshpk.parseKey(blob, 'rfc4253');
                    key.comment = comment;
                    signers.push(new AgentSigner(key, (data, flags) => this.#sign(key, blob, data, flags)));
                }
            }
            return signers;
        });
    }

    /** An SSH signature with the key of that blob. */
    async #sign(key: sshpk.Key, blob: Buffer, data: Buffer, flags: number): Promise<sshpk.Signature> {
        const request = Buffer.concat([Buffer.of(SIGN_REQUEST), string(blob), string(data), uint32(flags)]);
        const answer = await this.#ask(request, this.patience.sign);
        if (answer.byte() !== SIGN_RESPONSE) {
            throw this.#trouble(
                `refused to sign with ${describeKey(key)}: it may be locked, the key may have been removed, or its use not confirmed`,
            );
        }
        return this.#understand(() =>
            sshpk.parseSignature(answer.string(), key.type as sshpk.AlgorithmType, 'ssh'),
        );
    }

    /** The answer to one message, without its length. */
    async #ask(message: Buffer, patience: number): Promise<WireReader> {
        const socket = createConnection(this.path);
        const timer = setTimeout(
            () => socket.destroy(this.#trouble(`did not answer within ${patience / 1000} s`)),
            patience,
        );
        try {
            socket.write(string(message));
            let bytes = Buffer.alloc(0);
            for await (const chunk of socket) {
                bytes = Buffer.concat([bytes, chunk as Buffer]);
                const length = bytes.length < 4 ? undefined : bytes.readUInt32BE();
                if (length !== undefined && (length === 0 || length > LONGEST_ANSWER)) {
                    throw this.#trouble(`announced an answer of ${length} bytes`);
                }
                if (length !== undefined && bytes.length >= 4 + length) {
                    return new WireReader(bytes.subarray(4, 4 + length));
                }
            }
            throw this.#trouble('closed the connection before it had answered');
        } catch (err) {
            const { code } = err as NodeJS.ErrnoException;
            throw code === undefined ? err : this.#trouble(`cannot be reached (${code})`);
        } finally {
            clearTimeout(timer);
            socket.destroy();
        }
    }

    /** The value of `read`, which takes an answer apart. */
    #understand<T>(read: () => T): T {
        try {
            return read();
        } catch (err) {
            const cause = err instanceof WireError ? `: ${err.message}` : '';
            throw this.#trouble(`gave an answer that cannot be understood${cause}`);
        }
    }

    #trouble(what: string): SigningError {
        return new SigningError(`The ssh-agent at ${this.path} ${what}.`);
    }
}

/** A key that an agent holds. */
class AgentSigner implements Signer {
    readonly algorithms: readonly Algorithm[];

    constructor(
        readonly key: sshpk.Key,
        private readonly signWith: (data: Buffer, flags: number) => Promise<sshpk.Signature>,
    ) {
        const suited = algorithmsOf(key);
        // An agent takes the digest that belongs to the curve, whatever is asked.
        this.algorithms = key.type === 'ecdsa' ? suited.slice(0, 1) : suited;
    }

    async sign(data: Buffer, { name, digest, keyType }: Algorithm): Promise<Buffer> {
        const signature = await this.signWith(data, keyType === 'rsa' ? RSA_FLAGS[digest] : 0);
        // Agents that do not know the flags sign with SHA-1. DSA signatures do not name their digest.
        if (keyType !== 'dsa' && signature.hashAlgorithm !== digest) {
            throw new SigningError(
                `ssh-agent signed with ${signature.hashAlgorithm ?? 'something else'} where ${name} was asked for.`,
            );
        }
        const bytes = signature.toBuffer('asn1');
        // SSH may leave out leading zeros.
        return keyType === 'rsa'
            ? Buffer.concat([Buffer.alloc(Math.max(0, Math.ceil(this.key.size / 8) - bytes.length)), bytes])
            : bytes;
    }
}
