/** Says in a sentence what went wrong with another server, without what only this machine should know. */
import type { OutboundConfig } from '../config/types';
import { formatQuantity } from '../config/quantity';
import { ProxyFailure } from './connect';
import { OutboundRefused, RemoteFailure } from './driver';

/** Why a body was given up, where that was decided here. The message completes "<host> …". */
export class BodyFault extends Error {
    override readonly name = 'BodyFault';
}

/** An answer that is no use whatever follows. The message completes "<host> …". */
export class BadAnswer extends BodyFault {}

type Times = Pick<OutboundConfig, 'connectTimeout' | 'answerTimeout' | 'idleTimeout'>;

const within = (milliseconds: number): string => formatQuantity('time', milliseconds);

/** What happened, by the code of an error; each completes "<host> …". */
const sentences: Readonly<Record<string, (times: Times) => string>> = {
    ENOTFOUND: () => 'could not be found: its name has no address.',
    EAI_AGAIN: () => 'could not be found: no name server answered.',
    ECONNREFUSED: () => 'refused the connection.',
    ECONNRESET: () => 'cut the connection.',
    EPIPE: () => 'cut the connection.',
    UND_ERR_SOCKET: () => 'cut the connection.',
    EHOSTUNREACH: () => 'cannot be reached from here.',
    ENETUNREACH: () => 'cannot be reached from here.',
    ETIMEDOUT: () => 'did not accept the connection in time.',
    UND_ERR_CONNECT_TIMEOUT: ({ connectTimeout }) =>
        `did not accept the connection within ${within(connectTimeout)}.`,
    UND_ERR_HEADERS_TIMEOUT: ({ answerTimeout }) => `did not answer within ${within(answerTimeout)}.`,
    UND_ERR_BODY_TIMEOUT: ({ idleTimeout }) => `stopped sending: no byte came for ${within(idleTimeout)}.`,
    UND_ERR_DESTROYED: () => 'was not asked to the end: this server is stopping.',
    UND_ERR_CLOSED: () => 'was not asked: this server is stopping.',
    UND_ERR_HEADERS_OVERFLOW: () => 'sent headers that are too large.',
    UND_ERR_RES_CONTENT_LENGTH_MISMATCH: () => 'sent fewer or more bytes than it had announced.',
    ERR_TLS_CERT_ALTNAME_INVALID: () => 'has a certificate for another name.',
    CERT_HAS_EXPIRED: () => 'has a certificate that has expired.',
    DEPTH_ZERO_SELF_SIGNED_CERT: () => 'has a certificate that nobody vouches for (self-signed).',
    SELF_SIGNED_CERT_IN_CHAIN: () => 'has a certificate of an authority that is not known here.',
    UNABLE_TO_GET_ISSUER_CERT: () => 'has a certificate of an authority that is not known here.',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: () => 'has a certificate of an authority that is not known here.',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: () => 'has a certificate of an authority that is not known here.',
};

function codeOf(err: unknown): string | undefined {
    const code = err instanceof Error && 'code' in err ? err.code : undefined;
    return typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : undefined;
}

function sentence(err: unknown, times: Times): string {
    if (err instanceof BodyFault) {
        return err.message;
    }
    const code = codeOf(err);
    const known = code !== undefined && Object.hasOwn(sentences, code) ? sentences[code] : undefined;
    if (known) {
        return known(times);
    }
    if (code === 'EPROTO' || code?.startsWith('ERR_SSL_')) {
        return 'does not speak TLS as this server does.';
    }
    if (code?.startsWith('HPE_') || (err instanceof Error && err.name === 'HTTPParserError')) {
        return 'sent what is no HTTP.';
    }
    return `could not be talked to${code === undefined ? '' : ` (${code})`}.`;
}

/**
 * What a call ends with after an error: the reason of the signal if that was aborted, a refusal as it is, and a
 * RemoteFailure for all else.
 *
 * @param host of the URL, with its port if it has one
 */
export function failureOf(err: unknown, host: string, signal: AbortSignal, times: Times): unknown {
    if (signal.aborted) {
        return signal.reason;
    }
    if (err instanceof OutboundRefused || err instanceof RemoteFailure) {
        return err;
    }
    const message = err instanceof ProxyFailure ? err.message : `${host} ${sentence(err, times)}`;
    return new RemoteFailure(message, { cause: err });
}
