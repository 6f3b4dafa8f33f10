/** The actions of POST /images/U (endpoints.md §3). */
import { ApiError, validationFailed } from '../errors';
import { activate, withState } from '../images/activation';
import type { Image } from '../images/image';
import { assertOwnerExists } from '../images/owner';
import { applyUpdate } from '../images/update';
import type { RawImage } from '../manifest';
import { assertInAllChannels } from './authorize';
import type { Call } from './call';
import { mutate, sendImage } from './mutate';
import { account } from './steps';

export async function activateImage(call: Call): Promise<void> {
    const { images, clock } = call.services;
    sendImage(call, await mutate(call, (current) => images.save(current, activate(current, clock.now()))));
}

async function setDisabled(call: Call, disabled: boolean): Promise<void> {
    const { images } = call.services;
    const saved = await mutate(call, (current) =>
        images.save(current, withState({ ...current.raw, disabled })),
    );
    sendImage(call, saved);
}

export async function enableImage(call: Call): Promise<void> {
    return setDisabled(call, false);
}

export async function disableImage(call: Call): Promise<void> {
    return setDisabled(call, true);
}

export async function updateImage(call: Call): Promise<void> {
    const { images } = call.services;
    let ownerChecked = false;
    const saved = await mutate(call, async (current) => {
        const raw = applyUpdate(current.raw, call.state.body, { account: account(call) });
        assertInAllChannels(call, raw);
        // Only one that is given: an image whose owner is gone must stay changeable. It is the same at every attempt.
        if (!ownerChecked && Object.hasOwn(call.state.body as object, 'owner')) {
            images.assertValid(raw);
            await assertOwnerExists(call.services, raw.owner);
            ownerChecked = true;
        }
        return raw.uuid === current.uuid ? images.save(current, raw) : moveImage(call, current, raw);
    });
    sendImage(call, saved);
}

/** Saves an image under another uuid: its objects are copied into the new uuid's folder, then the record is moved. */
async function moveImage(call: Call, current: Image, raw: RawImage): Promise<Image> {
    const { images } = call.services;
    images.assertValid(raw);
    const files = current.raw.files ?? [];
    if (files.length > 1) {
        throw new ApiError(
            'NotImplemented',
            `Image ${current.uuid} has several files; its uuid cannot be changed.`,
        );
    }
    if (files.length === 0) {
        throw validationFailed(`Image ${current.uuid} has no file yet; its uuid cannot be changed.`, 'uuid');
    }
    return images.move(current, raw);
}
