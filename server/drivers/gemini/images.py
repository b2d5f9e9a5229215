"""Images, which models draw in an answer of theirs. https://ai.google.dev/gemini-api/docs/image-generation"""

from typing import Any

from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.gemini import reading, wire
from server.drivers.gemini.reading import Reader
from server.errors import AttemptFailed, RequestRefused
from server.transport import HttpAnswer, HttpRequest

Json = dict[str, Any]
_RATIOS = (
    *("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"),
    *("1:4", "4:1", "1:8", "8:1"),  # of some models
)
_NEAR = 0.04  # how far a size may be from such a ratio, for sides are whole pixels
# Up to how many pixels a size is that of a resolution, halfway to the next; the first goes without saying,
# and older models know no other.
_RESOLUTIONS = ((2**21, ""), (2**23, "2K"), (2**30, "4K"))
PARAMS = ("n", "size", "width", "height", "aspect_ratio", "resolution", "seed")


class ImagesTranslator:
    """Translates images, one at a time: a model draws one in an answer. The driver asks for each."""

    def request(self, request: GenerateImagesRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST {model}:generateContent with the modality IMAGE."""
        config: Json = {"responseModalities": ["IMAGE"]}
        if image := _config(request, target):
            config["imageConfig"] = image
        if request.HasField("seed") and "seed" in target.row.image_params:
            config["seed"] = request.seed
        said = {"role": "user", "parts": [{"text": request.prompt}]}
        body: Json = {"contents": [said], "generationConfig": config}
        wire.merge(body, request.extra_json)
        return wire.post(target, "generateContent", body)

    def answer(
        self, answer: HttpAnswer, _: GenerateImagesRequest, target: Target
    ) -> GenerateImagesResponse:
        """Reads the images of an answer. One that was blocked refuses the request."""
        decoded = wire.answered(answer, target)
        read = Reader(target, "message").read(decoded)
        choices = read["choices"]
        made: Json = {"data": [one for choice in choices for one in _images(choice["message"])]}
        if not made["data"]:
            raise _none(choices, target)
        if (cost := reading.usage(decoded.get("usageMetadata"))) is not None:
            made["usage"] = {
                "input_tokens": cost.pop("prompt_tokens"),
                "output_tokens": cost.pop("completion_tokens"),
                "total_tokens": cost.pop("total_tokens"),
                **({"extra": cost} if cost else {}),
            }
        made["model"] = read.get("model", "")
        formats = {one.pop("format") for one in made["data"]}
        if len(formats) == 1:
            made["output_format"] = formats.pop()
        made["extra"] = read.get("extra", {})
        if beside := [
            choice for choice in choices if "extra" in choice or choice["message"].keys() > {"role"}
        ]:
            made["extra"] |= {"choices": beside}
        images = answers.lift(GenerateImagesResponse, made)
        answers.complete(images, target)
        return images


def _images(message: Json) -> list[Json]:
    """The images of a message, which are taken out of it."""
    found = []
    for image in message.pop("images", ()):
        head, _, data = image.pop("image_url")["url"].partition(",")
        kind = head.removeprefix("data:image/").partition(";")[0]
        del image["type"]
        found.append({"b64_json": data, "format": kind, **({"extra": image} if image else {})})
    return found


def _none(choices: list[Json], target: Target) -> Exception:
    """What an answer without an image means."""
    choice = choices[0] if choices else {}
    if choice.get("finish_reason") != "content_filter":
        return AttemptFailed(answers.BROKEN, "answered without images", blame=bool(choices))
    why = choice["extra"]["native_finish_reason"]
    return RequestRefused(
        f"{target.row.id} refused to draw this: {why[:64]}",
        reason="content_policy_violation",
        param="prompt",
        provider=target.row.id,
        model=target.model,
    )


def _config(request: GenerateImagesRequest, target: Target) -> Json:
    """The `imageConfig`: ratio and resolution, which stand for a size."""
    made: Json = {}
    size = request.size if request.size != "auto" else ""
    if request.width:
        size = f"{request.width}x{request.height}"
    if size:
        made = _of_size(size)
    taken = target.row.image_params
    if request.HasField("aspect_ratio") and "aspect_ratio" in taken:
        made["aspectRatio"] = request.aspect_ratio
    if request.HasField("resolution") and "resolution" in taken:
        made["imageSize"] = request.resolution.upper()
    return made


def _of_size(size: str) -> Json:
    width, height = map(int, size.split("x"))
    ratio = min(_RATIOS, key=lambda one: _apart(one, width / height))
    if _apart(ratio, width / height) > _NEAR:
        raise wire.lacking("size", f"{size} is none of Gemini's ratios: {', '.join(_RATIOS)}")
    resolution = next(name for most, name in _RESOLUTIONS if width * height <= most)
    return {"aspectRatio": ratio, **({"imageSize": resolution} if resolution else {})}


def _apart(ratio: str, wanted: float) -> float:
    width, _, height = ratio.partition(":")
    return abs(int(width) / int(height) / wanted - 1)
