/** Takes secrets out of what is logged (config.md §7). */

const CENSORED = '***';

/** Names of secrets, in lower case: a value under one is never shown, wherever it stands. */
const SECRET_NAMES = [
    'authorization',
    'authtoken',
    'bindpassword',
    'pass',
    'password',
    'privatekey',
    'proxy-authorization',
    'secretaccesskey',
];
const secretNames: ReadonlySet<string> = new Set(SECRET_NAMES);

const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/;
/** The password of a URL such as `http://user:password@proxy`. */
const URL_PASSWORD = /(:\/\/[^\s"/@:]*):[^\s"/@]*@/g;

/**
 * The authority of a URL, however loosely that is written: in a query string with its escapes, with backslashes, or
 * without any slash. All of it is matched at once, so that no text takes longer than its length.
 */
const URL_AUTHORITY = /(https?(?::|%3a)(?:[/\\]|%2f|%5c)*)((?:(?!%2f|%5c|%3f|%23|%26)[^\s"'/\\?#&])+)/gi;
const UP_TO_AT = /^.*(?:@|%40)/;

/** What JSON that may hold a secret looks like: a cheap test, so that the common log line is not parsed again. */
const SUSPICIOUS = new RegExp(
    [`"(?:${SECRET_NAMES.join('|')})":`, PRIVATE_KEY.source, URL_PASSWORD.source].join('|'),
    'i',
);

/** Whether a value under this name is a secret. */
export function isSecretName(name: string): boolean {
    return secretNames.has(name.toLowerCase());
}

/** Whether a key of the configuration may be meant for one of a secret: it may be one that no server knows. */
export function mayBeSecretName(name: string): boolean {
    return isSecretName(name) || /passw|passphrase|secret/i.test(name);
}

function censorText(text: string): string {
    return PRIVATE_KEY.test(text) ? CENSORED : text.replace(URL_PASSWORD, `$1:${CENSORED}@`);
}

/**
 * A deep copy of a JSON value without its secrets.
 *
 * Values under a secret's name become `***`, as does any text with a private key in PEM form; URLs lose their
 * passwords.
 */
export function censorConfig(value: unknown, isSecret = isSecretName): unknown {
    if (typeof value === 'string') {
        return censorText(value);
    }
    if (Array.isArray(value)) {
        return value.map((inner) => censorConfig(inner, isSecret));
    }
    if (typeof value !== 'object' || value === null) {
        return value;
    }
    return Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [
            name,
            isSecret(name) ? CENSORED : censorConfig(inner, isSecret),
        ]),
    );
}

/** A text of any kind, JSON as well, without the credentials in its URLs. */
export function censorUrls(text: string): string {
    if (!text.includes('@') && !text.includes('%40')) {
        return text;
    }
    return text.replace(
        URL_AUTHORITY,
        (_whole, start: string, authority: string) => start + authority.replace(UP_TO_AT, `${CENSORED}@`),
    );
}

/** One line of JSON without its secrets, as {@link censorConfig} takes them out. A line that holds none is given back. */
export function censorLine(line: string): string {
    if (!SUSPICIOUS.test(line) || !line.startsWith('{')) {
        return line;
    }
    return JSON.stringify(censorConfig(JSON.parse(line)));
}
