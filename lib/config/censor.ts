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

/** What JSON that may hold a secret looks like: a cheap test, so that the common log line is not parsed again. */
const SUSPICIOUS = new RegExp(
    [`"(?:${SECRET_NAMES.join('|')})":`, PRIVATE_KEY.source, URL_PASSWORD.source].join('|'),
    'i',
);

/** Whether a value under this name is a secret. */
export function isSecretName(name: string): boolean {
    return secretNames.has(name.toLowerCase());
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
export function censorConfig(value: unknown): unknown {
    if (typeof value === 'string') {
        return censorText(value);
    }
    if (Array.isArray(value)) {
        return value.map(censorConfig);
    }
    if (typeof value !== 'object' || value === null) {
        return value;
    }
    return Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [
            name,
            isSecretName(name) ? CENSORED : censorConfig(inner),
        ]),
    );
}

/** One line of JSON without its secrets, as {@link censorConfig} takes them out. A line that holds none is given back. */
export function censorLine(line: string): string {
    if (!SUSPICIOUS.test(line) || !line.startsWith('{')) {
        return line;
    }
    return JSON.stringify(censorConfig(JSON.parse(line)));
}
