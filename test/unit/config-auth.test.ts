/** The block `auth` of the configuration (daemon.md §5): what it is by default, and what it is refused for. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig, type Config } from '../../lib/config';
import { Roles } from '../../lib/auth/roles';
import { CHANNELS } from '../support/channels';
import { DATACENTER } from '../support/registry';

/** An object whose key has a meaning to JavaScript, as JSON.parse makes it. */
const own = (name: string, value: unknown): object =>
    JSON.parse(`{${JSON.stringify(name)}: ${JSON.stringify(value)}}`) as object;

describe('config.auth', () => {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-config-'));
    const file = join(folder, 'imgapi.config.json');
    after(() => rmSync(folder, { recursive: true }));

    function load(settings: object): { config: Config; warnings: string[] } {
        writeFileSync(file, JSON.stringify(settings));
        const warnings: string[] = [];
        const config = loadConfig({ file, onWarning: (warning) => warnings.push(warning) });
        return { config, warnings };
    }

    function refusal(settings: object): string {
        try {
            load(settings);
        } catch (err) {
            assert.ok(err instanceof ConfigError);
            return err.message;
        }
        return assert.fail('the configuration was accepted');
    }

    it('asks for no more than servers always did', () => {
        const { config } = load({});
        assert.equal(config.auth.reads, 'anonymous');
        assert.equal(config.auth.hideUnpublished, false);
        assert.deepEqual(config.auth.roles, {});
        assert.equal(config.auth.replayWindow, undefined);
    });

    it('takes roles by users and certificates, as a word or with channels', () => {
        const roles = {
            bob: 'read',
            carol: { role: 'write' },
            'cn:build.example.com': { role: 'write', channels: ['dev', 'release'] },
            'a b/c': 'admin',
        };
        const { config, warnings } = load({ channels: CHANNELS, auth: { roles } });
        assert.deepEqual(config.auth.roles, roles);
        assert.deepEqual(warnings, []);
    });

    it('takes signed reads in the modes that have no services that do not sign', () => {
        for (const mode of ['public', 'private']) {
            assert.equal(load({ mode, auth: { reads: 'signed' } }).config.auth.reads, 'signed');
        }
        const inDc = load({ ...DATACENTER, auth: { hideUnpublished: true } });
        assert.equal(inDc.config.auth.hideUnpublished, true);
    });

    it('takes comments', () => {
        assert.equal(load({ auth: { '//': 'who may read', reads: 'signed' } }).config.auth.reads, 'signed');
    });

    const roles = (entry: unknown, name = 'bob') => ({
        channels: CHANNELS,
        auth: { roles: own(name, entry) },
    });
    const none = (auth: object) => ({ authType: 'none', auth });
    const cases: [title: string, settings: object, reason: RegExp][] = [
        ['no object', { auth: [] }, /config\.auth is \[\]; it must be an object/],
        [
            'a word for reads that there is not',
            { auth: { reads: 'none' } },
            /config\.auth\.reads is "none"; .*"anonymous", "signed"/,
        ],
        [
            'signed reads in a datacenter',
            { ...DATACENTER, auth: { reads: 'signed' } },
            /config\.auth\.reads is "signed"; config\.mode "dc"/,
        ],
        [
            'signed reads that nobody can sign',
            none({ reads: 'signed' }),
            /config\.auth\.reads is "signed"; config\.authType/,
        ],
        [
            'hiding from everybody',
            none({ hideUnpublished: true }),
            /config\.auth\.hideUnpublished is true; config\.authType/,
        ],
        [
            'a hideUnpublished that is no boolean',
            { auth: { hideUnpublished: 'true' } },
            /config\.auth\.hideUnpublished is "true"; it must be true or false/,
        ],
        [
            'more to be signed by nobody',
            none({ requireSigned: ['digest'] }),
            /config\.auth\.requireSigned is given; config\.authType/,
        ],
        [
            'a request target without its parentheses, which would be a header that nobody sends',
            { auth: { requireSigned: ['digest', 'Request-target'] } },
            /config\.auth\.requireSigned\.1 is "Request-target"; it must be "\(request-target\)", "request-line", or/,
        ],
        [
            'a window for signatures that nobody makes',
            none({ replayWindow: '1m' }),
            /config\.auth\.replayWindow is given; config\.authType/,
        ],
        [
            'a key that is misspelt',
            { auth: { hideUnpublised: true } },
            /config\.auth has the key "hideUnpublised".*did you mean "hideUnpublished"\?/,
        ],
        [
            'a key that is unlike any',
            { auth: { x: 1 } },
            /config\.auth has the key "x".*it takes reads, hideUnpublished, roles/,
        ],
        [
            'a key that is to be inherited',
            { auth: own('__proto__', { reads: 'signed' }) },
            /config\.auth has the key "__proto__"/,
        ],
        [
            'roles that are no object',
            { auth: { roles: ['bob'] } },
            /config\.auth\.roles is \["bob"\]; it must be an object from user names to roles/,
        ],
        [
            'a role that there is not',
            roles('Admin'),
            /config\.auth\.roles\.bob is "Admin"; it must be one of "read", "write", "admin"/,
        ],
        ['a role of nothing', roles(''), /config\.auth\.roles\.bob is ""; it must be one of/],
        [
            'a role that is null',
            roles(null),
            /config\.auth\.roles\.bob is null; it must be one of "read", "write", "admin", or an object/,
        ],
        ['a list of roles', roles(['read']), /config\.auth\.roles\.bob is \["read"\]; it must be one of/],
        [
            'channels without a role',
            roles({ channels: ['dev'] }),
            /config\.auth\.roles\.bob\.role is missing; it must be one of/,
        ],
        [
            'a wrong role with channels',
            roles({ role: 'root', channels: ['dev'] }),
            /config\.auth\.roles\.bob\.role is "root"; it must be one of/,
        ],
        [
            'a limit that nobody reads',
            roles({ role: 'write', channel: 'dev' }),
            /config\.auth\.roles\.bob has the key "channel"; it takes "role" and "channels"/,
        ],
        [
            'a limit that is to be inherited',
            roles(own('__proto__', { role: 'read' })),
            /config\.auth\.roles\.bob\.role is missing/,
        ],
        [
            'a role for nobody',
            roles('read', ''),
            /config\.auth\.roles has a role for ""; it must be for a user name/,
        ],
        ['a role for no certificate', roles('read', 'cn:'), /config\.auth\.roles has a role for "cn:"; /],
        [
            'no channels at all',
            roles({ role: 'write', channels: [] }),
            /config\.auth\.roles\.bob\.channels is \[\]; it must be an array of at least one name/,
        ],
        [
            'channels that are no list',
            roles({ role: 'write', channels: 'dev' }),
            /config\.auth\.roles\.bob\.channels is "dev"; it must be an array/,
        ],
        [
            'a channel that there is not',
            roles({ role: 'write', channels: ['dev', 'Dev'] }),
            /config\.auth\.roles\.bob\.channels holds "Dev"; .*config\.channels/,
        ],
        [
            'the channel *',
            roles({ role: 'write', channels: ['*'] }),
            /config\.auth\.roles\.bob\.channels holds "\*"; /,
        ],
        [
            'a channel on a server without any',
            { auth: { roles: { bob: { role: 'write', channels: ['dev'] } } } },
            /config\.auth\.roles\.bob\.channels holds "dev"; /,
        ],
        [
            'a wrong role under the name of a member of all objects',
            roles('boss', '__proto__'),
            /config\.auth\.roles\.__proto__ is "boss"; /,
        ],
    ];
    for (const [title, settings, reason] of cases) {
        it(`is refused with ${title}`, () => assert.match(refusal(settings), reason));
    }

    it('takes the examples of docs/access.md', () => {
        const page = readFileSync(join(__dirname, '../../docs/access.md'), 'utf8');
        const examples = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, json = '']) => json);
        assert.ok(examples.length > 0);
        for (const example of examples) {
            assert.deepEqual(load(JSON.parse(example) as object).warnings, []);
        }
    });

    it('means what it says for users named like members of all objects', () => {
        for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
            const { config } = load(roles({ role: 'read', channels: ['dev'] }, name));
            const table = new Roles(config.auth.roles);
            assert.deepEqual(table.ofUser(name), { role: 'read', channels: new Set(['dev']) }, name);
            assert.deepEqual(table.ofUser('bob'), { role: 'admin' });
        }
        const empty = new Roles(load({}).config.auth.roles);
        for (const name of ['__proto__', 'constructor', 'toString']) {
            assert.deepEqual(empty.ofUser(name), { role: 'admin' }, name);
        }
    });
});
