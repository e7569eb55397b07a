"""The app of `gpen app` as a Hugging Face Space, or on its own: python app.py"""

from gpen_core.app import create_app
from gpen_core.app.page import shown_settings

demo = create_app(max_megapixels=24)

if __name__ == "__main__":
    demo.launch(**shown_settings())
