/** Takes credentials out of what is shown of jobs. */
import { censorConfig } from './censor';

/** `user:password@` of a URL, however loosely that is written. */
const CREDENTIALS = /((?:https?:|[a-z][a-z0-9+.-]*:\/)[/\\]*)[^\s"'/\\?#]*@/gi;

/** A text without the credentials in its URLs. */
export function withoutCredentials(text: string): string {
    return text.replace(CREDENTIALS, '$1');
}

function redacted(value: unknown): unknown {
    if (typeof value === 'string') {
        return withoutCredentials(value);
    }
    if (Array.isArray(value)) {
        return value.map(redacted);
    }
    if (typeof value !== 'object' || value === null) {
        return value;
    }
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, redacted(inner)]));
}

/** A deep copy of a JSON value without the credentials in its URLs, and without other secrets. */
export function withoutSecrets(value: unknown): unknown {
    return censorConfig(redacted(value));
}
