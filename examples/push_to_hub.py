"""Put a trained model on the Hugging Face Hub, with tokenizer, code, results and a model card.

    hf auth login                                                        # once, with a token that may write
    python examples/push_to_hub.py outputs/demo me/requests              # private
    python examples/push_to_hub.py outputs/demo me/requests --public --revision v1
    python examples/push_to_hub.py outputs/demo --card card.md                             # only the card, into a file

Whoever may read the repository loads it by `AutoModel.from_pretrained("me/requests", trust_remote_code=True)`, with
`revision="v1"` as it was then. A push that was cut goes on with the same command. The card, README.md, is made anew
from what the folder holds by then (evaluation.json, report.json, ...), unless it was edited.
"""

import argparse
import sys
from pathlib import Path

from ldebm_hf.training.publishing import push, write_card


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what examples/train.py left")
    parser.add_argument("repo_id", nargs="?", help="owner/name, or name for your own")
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument("--private", action="store_true", help="only you see the repository (default)")
    visibility.add_argument("--public", action="store_true", help="everybody does")
    parser.add_argument("--revision", metavar="TAG", help="tag this state, for from_pretrained(..., revision=TAG)")
    parser.add_argument("--token", help="default: what `hf auth login` stored, or the variable HF_TOKEN")
    parser.add_argument("--card", type=Path, metavar="FILE", help="write the model card into a file, and push nothing")
    options = parser.parse_args(arguments)
    if (options.repo_id is None) == (options.card is None):
        parser.error("give a repo_id to push to, or --card FILE")
    if options.card is not None:
        if not write_card(options.folder, file=options.card):
            raise ValueError(f"{options.card} was edited by hand and stays as it is: remove it first")
        return
    address = push(
        options.folder, options.repo_id, private=not options.public, revision=options.revision, token=options.token
    )
    print(address)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
