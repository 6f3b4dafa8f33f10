/** Signatures of other requests, and of what is no header: the request itself, and parameters of the signature. */
import { NOBODY, signing, type Forgery } from './forgery';

const targets: Forgery[] = [
    ...['(request-target)', 'request-line'].flatMap((line): Forgery[] => [
        {
            name: `${line}: another path`,
            says: NOBODY,
            valid: signing(`date ${line}`),
            forge: (message) =>
                Object.assign(message, { target: message.target === '/ping' ? '/state' : '/ping' }),
        },
        {
            name: `${line}: a query`,
            says: NOBODY,
            valid: signing(`date ${line}`),
            forge: (message) => Object.assign(message, { target: `${message.target}?a=b` }),
        },
        {
            name: `${line}: an empty query`,
            says: NOBODY,
            valid: signing(`date ${line}`),
            forge: (message) => Object.assign(message, { target: `${message.target}?` }),
        },
        {
            name: `${line}: another query`,
            says: NOBODY,
            valid: (message) => {
                message.target += '?account=a';
                signing(`date ${line}`)(message);
            },
            forge: (message) => Object.assign(message, { target: message.target.replace('=a', '=b') }),
        },
        {
            name: `${line}: a fragment`,
            says: NOBODY,
            valid: signing(`date ${line}`),
            forge: (message) => Object.assign(message, { target: `${message.target}?#x` }),
        },
        {
            name: `${line}: %-escapes in the query`,
            says: NOBODY,
            valid: (message) => {
                message.target += '?account=a';
                signing(`date ${line}`)(message);
            },
            forge: (message) => Object.assign(message, { target: message.target.replace('=a', '=%61') }),
        },
        {
            name: `${line}: the path with a host before it`,
            says: NOBODY,
            valid: signing(`date ${line}`),
            forge: (message) =>
                Object.assign(message, { target: `http://images.example.com${message.target}` }),
        },
        {
            name: `${line}: another method`,
            says: NOBODY,
            valid: (message) => {
                message.method = 'HEAD';
                signing(`date ${line}`)(message);
            },
            forge: (message) => Object.assign(message, { method: 'GET' }),
        },
    ]),
    {
        name: 'request-line: another version of HTTP',
        says: NOBODY,
        valid: signing('date request-line'),
        forge: (message) => Object.assign(message, { version: 'HTTP/1.0' }),
    },
    {
        name: 'request-line: HTTP/1.0 signed, HTTP/1.1 sent',
        says: NOBODY,
        valid: (message) => {
            message.version = 'HTTP/1.0';
            signing('date request-line')(message);
        },
        forge: (message) => Object.assign(message, { version: 'HTTP/1.1' }),
    },
    {
        name: 'the request line where the request target is meant',
        says: NOBODY,
        valid: signing('date request-line'),
        forge: (message) => message.setParameter('headers', 'date (request-target)'),
    },
];

const pseudo: Forgery[] = [
    ...[
        ['(opaque)', 'opaque'],
        ['(created)', 'created'],
        ['(expires)', 'expires'],
    ].flatMap(([line = '', name = '']): Forgery[] => [
        {
            name: `${line} without its parameter`,
            says: /alice|opaque|created|expires/,
            forge: (message) => message.setParameter('headers', `date ${line}`),
        },
        {
            name: `${line} alone, with the parameter`,
            says: /date|opaque|created|expires/,
            forge: (message) => {
                const now = String(Math.floor(Date.now() / 1000));
                return message.setParameter('headers', line).setParameter(name, now).sign();
            },
        },
        {
            name: `${line} without its parameter, signed as what JavaScript makes of it`,
            says: /opaque|created|expires/,
            forge: (message) =>
                message
                    .setParameter('headers', `date ${line}`)
                    .sign({ text: `date: ${message.header('date')!}\n${line}: undefined` }),
        },
    ]),
    {
        name: '(created) in the future',
        says: /created|parameter/i,
        forge: (message) => {
            message.setParameter('headers', 'date (created)');
            message.setBareParameter('created', String(Math.floor(Date.now() / 1000) + 3600));
            return message.sign();
        },
    },
    {
        name: '(expires) in the past',
        says: /expires|parameter/i,
        forge: (message) => {
            message.setParameter('headers', 'date (expires)');
            message.setBareParameter('expires', String(Math.floor(Date.now() / 1000) - 3600));
            return message.sign();
        },
    },
    {
        name: '(keyid) of somebody else',
        says: /alice|bob/,
        valid: signing('date (keyid)'),
        forge: (message) => message.setParameter('keyId', 'bob'),
    },
    {
        name: '(algorithm) as another one of the family',
        says: NOBODY,
        valid: signing('date (algorithm)'),
        forge: (message) => message.setParameter('algorithm', 'rsa-sha512'),
    },
];

export const requests: readonly Forgery[] = [...targets, ...pseudo];
