import assert from 'node:assert/strict';
import { canRead, computeState } from '../../lib/images/access';
import { ACCOUNT, activatedImage, OWNER, rawImage } from '../support/rule-records';

describe('canRead (endpoints.md §2)', () => {
    const unactivated = { activated: false, state: 'unactivated' };
    const disabled = { disabled: true, state: 'disabled' };
    const cases: [string, Record<string, unknown>, string | undefined, boolean][] = [
        ['anybody without an account, unactivated', unactivated, undefined, true],
        ['the owner', {}, OWNER, true],
        ['the owner, unactivated', unactivated, OWNER, true],
        ['others, private', {}, ACCOUNT, false],
        ['others, public', { public: true }, ACCOUNT, true],
        ['others, public as a string', { public: 'true', activated: 'true' }, ACCOUNT, true],
        ['others, public and disabled', { public: true, ...disabled }, ACCOUNT, true],
        ['others, public and unactivated', { public: true, ...unactivated }, ACCOUNT, false],
        ['others, shared', { acl: [ACCOUNT] }, ACCOUNT, true],
        ['others, shared and disabled', { acl: [ACCOUNT], ...disabled }, ACCOUNT, true],
        ['others, shared and unactivated', { acl: [ACCOUNT], ...unactivated }, ACCOUNT, false],
        ['others, shared with someone else', { acl: [OWNER] }, ACCOUNT, false],
        ['others, without ACL', { acl: undefined }, ACCOUNT, false],
    ];
    for (const [who, changes, account, expected] of cases) {
        it(`${expected ? 'lets' : 'keeps out'} ${who}`, () => {
            assert.equal(canRead(activatedImage(changes), account), expected);
        });
    }
});

describe('computeState (manifest.md §3)', () => {
    const cases: [boolean | string, boolean | string, string][] = [
        [false, false, 'unactivated'],
        [false, true, 'unactivated'],
        [true, true, 'disabled'],
        [true, false, 'active'],
        ['true', 'true', 'disabled'],
        ['true', 'false', 'active'],
        ['false', 'false', 'unactivated'],
    ];
    for (const [activated, disabled, expected] of cases) {
        it(`is ${expected} for activated ${activated}, disabled ${disabled}`, () => {
            assert.equal(computeState(rawImage({ activated, disabled })), expected);
        });
    }
});
